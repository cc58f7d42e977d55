/* SPDX-License-Identifier: Apache-2.0 */
/* DEPTHWISE_CONV_2D on int8: weights [KH, KW, C * multiplier] as in the model, portable C. */
#ifndef THIMBLE_DEPTHWISE_CONV_2D_S8_H
#define THIMBLE_DEPTHWISE_CONV_2D_S8_H

#include "fixed_point.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t multiplier; /* output channels per input channel */
  int32_t weight_zero, in_zero, out_zero, low, high;
} thimble_depthwise_conv_2d_s8_params;

/* Filter `o` on the input channel `in[0]`, its first tap at row y and column x; taps outside count nothing. */
THIMBLE_INLINE int32_t thimble_depthwise_conv_2d_s8_sum(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_params *p,
                                                        const int8_t *in, const THIMBLE_FLASH int8_t *weights,
                                                        int32_t y, int32_t x, int32_t sum) {
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
      const int32_t cell = in[thimble_row(&p->in, row) + column * p->in.pixel] - p->in_zero;
      sum += cell * (weights[(i * p->kernel_w + j) * p->out.channels] - p->weight_zero);
    }
  }
  return sum;
}

/* Rows [begin, end) of the output. `channels` holds (bias, multiplier, shift) per output channel. */
THIMBLE_KERNEL void thimble_depthwise_conv_2d_s8(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_params *p,
                                                 const int8_t *in, const THIMBLE_FLASH int8_t *weights,
                                                 const THIMBLE_FLASH int32_t *channels, int8_t *out, int32_t begin,
                                                 int32_t end) {
  for (int32_t y = begin; y < end; y++) {
    for (int32_t x = 0; x < p->out.width; x++) {
      int8_t *pixel = out + thimble_row(&p->out, y) + x * p->out.pixel;
      const int32_t top = y * p->stride_h - p->pad_top, left = x * p->stride_w - p->pad_left;
      for (int32_t o = 0; o < p->out.channels; o++) {
        const THIMBLE_FLASH int32_t *channel = channels + 3 * o;
        const int32_t sum =
            thimble_depthwise_conv_2d_s8_sum(p, in + o / p->multiplier, weights + o, top, left, channel[0]);
        const int32_t scaled = thimble_rescale(sum, channel[1], channel[2]);
        pixel[o] = (int8_t)(thimble_clamp(scaled, p->low - p->out_zero, p->high - p->out_zero) + p->out_zero);
      }
    }
  }
}

#endif
