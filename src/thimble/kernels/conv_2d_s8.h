/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D on int8: weights [O, KH, KW, C / groups] as in the model, portable C. */
#ifndef THIMBLE_CONV_2D_S8_H
#define THIMBLE_CONV_2D_S8_H

#include "fixed_point.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t depth;    /* input channels that a filter sees; fewer than all where there are groups */
  int32_t filters;  /* per group */
  int32_t in_zero, weight_zero, out_zero, low, high;
} thimble_conv_2d_s8_params;

/* One filter over one window; taps outside the image count nothing. */
THIMBLE_INLINE int32_t thimble_conv_2d_s8_sum(const THIMBLE_FLASH thimble_conv_2d_s8_params *p, const int8_t *in,
                                              const THIMBLE_FLASH int8_t *weights, int32_t y, int32_t x,
                                              uint32_t sum) {
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const int32_t row = y + i * p->dilation_h;
    if (row < 0 || row >= p->in.height) {
      continue;
    }
    for (int32_t j = 0; j < p->kernel_w; j++) {
      const int32_t column = x + j * p->dilation_w;
      if (column < 0 || column >= p->in.width) {
        continue;
      }
      const int8_t *cells = in + thimble_row(&p->in, row) + column * p->in.pixel;
      const THIMBLE_FLASH int8_t *taps = weights + (i * p->kernel_w + j) * p->depth;
      for (int32_t c = 0; c < p->depth; c++) {
        sum += (uint32_t)((cells[c] - p->in_zero) * (taps[c] - p->weight_zero));
      }
    }
  }
  return (int32_t)sum;
}

/* Rows [begin, end) of the output. `channels` holds (bias, multiplier, shift) per filter. */
THIMBLE_KERNEL void thimble_conv_2d_s8(const THIMBLE_FLASH thimble_conv_2d_s8_params *p, const int8_t *in,
                                       const THIMBLE_FLASH int8_t *weights, const THIMBLE_FLASH int32_t *channels,
                                       int8_t *out, int32_t begin, int32_t end) {
  for (int32_t y = begin; y < end; y++) {
    for (int32_t x = 0; x < p->out.width; x++) {
      int8_t *pixel = out + thimble_row(&p->out, y) + x * p->out.pixel;
      const int32_t top = y * p->stride_h - p->pad_top, left = x * p->stride_w - p->pad_left;
      for (int32_t o = 0; o < p->out.channels; o++) {
        const THIMBLE_FLASH int32_t *channel = channels + 3 * o;
        const THIMBLE_FLASH int8_t *filter = weights + o * p->kernel_h * p->kernel_w * p->depth;
        const int32_t sum = thimble_conv_2d_s8_sum(p, in + o / p->filters * p->depth, filter, top, left, (uint32_t)channel[0]);
        const int32_t scaled = thimble_rescale(sum, channel[1], channel[2]);
        pixel[o] = (int8_t)(thimble_clamp(scaled, p->low - p->out_zero, p->high - p->out_zero) + p->out_zero);
      }
    }
  }
}

#endif
