/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D with filters of 1 x 1, and FULLY_CONNECTED, on int8 with packed arithmetic and without any work space: four
 * filters at once over one pixel, spread out as it is read (see walk_dsp.h). Pixels are whole words.
 *
 * Zero points are in the bias; no pixel is outside the image. Reads and writes row by row. Input and output must not
 * overlap. */
#ifndef THIMBLE_POINTWISE_S8_WALK_DSP_H
#define THIMBLE_POINTWISE_S8_WALK_DSP_H

#include "walk_dsp.h"

typedef struct {
  thimble_image in, out;
  int32_t stride_h, stride_w;
  int32_t groups; /* of four values in a pixel */
  thimble_output output;
} thimble_pointwise_s8_walk_dsp_params;

/* Rows [begin, end) of the output. For each four filters, `filters` holds four biases, the words, and four scales; for
 * those left over the same of one. */
THIMBLE_KERNEL void thimble_pointwise_s8_walk_dsp(const THIMBLE_FLASH thimble_pointwise_s8_walk_dsp_params *p,
                                                  const int8_t *in, const THIMBLE_FLASH int32_t *filters, int8_t *out,
                                                  int32_t begin, int32_t end) {
  thimble_run run = {0, 0, 0};
  thimble_walk walk = thimble_walk_of(&p->output, &run, p->groups, in, NULL);
  walk.last = &run + 1;
  for (int32_t y = begin; y < end; y++) {
    int8_t *pixel = out + thimble_row(&p->out, y);
    const int32_t row = thimble_row(&p->in, y * p->stride_h);
    for (int32_t x = 0; x < p->out.width; x++) {
      thimble_run_of(&p->output, &walk, &run, row + x * p->stride_w * p->in.pixel, p->groups);
      thimble_walk_run(&p->output, &walk, filters, pixel, p->out.channels);
      pixel += p->out.pixel;
    }
  }
}

#endif
