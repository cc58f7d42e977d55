/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D on int8 with packed arithmetic and next to no work space: four filters at once over one window, whose values
 * are spread out as they are read (see walk_dsp.h). Cells are whole words.
 *
 * Zero points are in the bias; for cells outside the image stand zero points in flash. Reads and writes row by row.
 * Input and output must not overlap. */
#ifndef THIMBLE_CONV_2D_S8_WALK_DSP_H
#define THIMBLE_CONV_2D_S8_WALK_DSP_H

#include "walk_dsp.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t cell;   /* groups of four channels */
  int32_t groups; /* in a window */
  int32_t inside; /* 1 where no window leaves the image */
  thimble_output output;
} thimble_conv_2d_s8_walk_dsp_params;

/* A row of a window as runs; returns what follows them. */
THIMBLE_INLINE thimble_run *thimble_walk_row(const THIMBLE_FLASH thimble_conv_2d_s8_walk_dsp_params *p,
                                             const thimble_walk *walk, thimble_run *run, int32_t y, int32_t x) {
  const int32_t far = x + p->kernel_w - p->in.width; /* columns behind the image */
  int32_t before = 0, behind = 0;
  if (!p->inside) {
    before = y < 0 || y >= p->in.height || far >= p->kernel_w ? p->kernel_w : thimble_clamp(-x, 0, p->kernel_w);
    behind = thimble_clamp(far, 0, p->kernel_w - before);
  }
  const int32_t there = p->kernel_w - before - behind;
  if (before > 0) {
    run = thimble_run_of(&p->output, walk, run, -1, before * p->cell);
  }
  if (there > 0) {
    const int32_t at = thimble_row(&p->in, y) + (x + before) * p->in.pixel;
    run = thimble_run_of(&p->output, walk, run, at, there * p->cell);
  }
  if (behind > 0) {
    run = thimble_run_of(&p->output, walk, run, -1, behind * p->cell);
  }
  return run;
}

/* Rows [begin, end) of the output. For each four filters, `filters` holds four biases, the words, and four scales; for
 * those left over the same of one. `outside` are zero points for a row of a window. Work space: up to three runs for
 * each row of a window. */
THIMBLE_KERNEL void thimble_conv_2d_s8_walk_dsp(const THIMBLE_FLASH thimble_conv_2d_s8_walk_dsp_params *p,
                                                const int8_t *in, const THIMBLE_FLASH int32_t *filters,
                                                const THIMBLE_FLASH int8_t *outside, int8_t *out, void *scratch,
                                                int32_t begin, int32_t end) {
  thimble_run *const runs = (thimble_run *)scratch;
  thimble_walk walk = thimble_walk_of(&p->output, runs, p->groups, in, outside);
  for (int32_t y = begin; y < end; y++) {
    int8_t *pixel = out + thimble_row(&p->out, y);
    for (int32_t x = 0; x < p->out.width; x++) {
      thimble_run *run = runs;
      for (int32_t i = 0; i < p->kernel_h; i++) {
        run = thimble_walk_row(p, &walk, run, y * p->stride_h - p->pad_top + i * p->dilation_h,
                               x * p->stride_w - p->pad_left);
      }
      walk.last = run;
      thimble_walk_run(&p->output, &walk, filters, pixel, p->out.channels);
      pixel += p->out.pixel;
    }
  }
}

#endif
