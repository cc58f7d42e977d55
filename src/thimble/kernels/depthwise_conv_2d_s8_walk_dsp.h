/* SPDX-License-Identifier: Apache-2.0 */
/* DEPTHWISE_CONV_2D on int8 with packed arithmetic and without work space, for one output channel per input channel,
 * a multiple of four: four channels of a pixel at once, whose values and weights are widened as they are read.
 *
 * Zero points are in the bias; outside the image stands the zero point. Reads and writes row by row. Input and
 * output must not overlap. */
#ifndef THIMBLE_DEPTHWISE_CONV_2D_S8_WALK_DSP_H
#define THIMBLE_DEPTHWISE_CONV_2D_S8_WALK_DSP_H

#include "requantize_dsp.h"

#define THIMBLE_WALK_ROWS 8 /* of a filter at most */

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t in_zero;
  thimble_output output;
} thimble_depthwise_conv_2d_s8_walk_dsp_params;

/* Four sums. */
typedef struct {
  int32_t a, b, c, d;
} thimble_walk_four;

/* One tap of four channels. */
THIMBLE_INLINE thimble_walk_four thimble_four_macs(thimble_walk_four sums, uint32_t x, uint32_t w) {
  const uint32_t even = thimble_even(x), odd = thimble_odd(x), u = thimble_even(w), v = thimble_odd(w);
  sums.a = thimble_low_mac(even, u, sums.a);
  sums.b = thimble_low_mac(odd, v, sums.b);
  sums.c = thimble_high_mac(even, u, sums.c);
  sums.d = thimble_high_mac(odd, v, sums.d);
  return sums;
}

/* A window of four channels, whose first tap is at column x of the first of `lines`; rows outside it are NULL. */
THIMBLE_INLINE thimble_walk_four thimble_four_window(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_walk_dsp_params *p,
                                                thimble_walk_four sums, const int8_t *const *lines, int32_t c, int32_t x,
                                                const THIMBLE_FLASH thimble_word *weights) {
  const uint32_t zeros = (uint32_t)(p->in_zero & 0xFF) * 0x01010101u;
  const int32_t inside = x >= 0 && x + (p->kernel_w - 1) * p->dilation_w < p->in.width;
  THIMBLE_UNROLL(4)
  for (int32_t i = 0; i < p->kernel_h; i++) {
    if (inside && lines[i] != NULL) {
      const int8_t *cell = lines[i] + x * p->in.pixel + c;
      THIMBLE_UNROLL(8)
      for (int32_t j = 0; j < p->kernel_w; j++) {
        sums = thimble_four_macs(sums, thimble_load(cell + j * p->dilation_w * p->in.pixel), weights[j]);
      }
    } else {
      for (int32_t j = 0; j < p->kernel_w; j++) {
        const int32_t at = x + j * p->dilation_w;
        const int32_t there = lines[i] != NULL && at >= 0 && at < p->in.width;
        sums = thimble_four_macs(sums, there ? thimble_load(lines[i] + at * p->in.pixel + c) : zeros, weights[j]);
      }
    }
    weights += p->kernel_w;
  }
  return sums;
}

/* Four doubled sums, whose channels' scales begin at `scale`, to outputs. */
THIMBLE_INLINE void thimble_four_outputs(const THIMBLE_FLASH thimble_output *p, thimble_walk_four sums,
                                         const THIMBLE_FLASH int32_t *scale, int8_t *out) {
  out[0] = thimble_requantize(p, 2 * sums.a, scale);
  out[1] = thimble_requantize(p, 2 * sums.b, scale + THIMBLE_SCALE_WORDS);
  out[2] = thimble_requantize(p, 2 * sums.c, scale + 2 * THIMBLE_SCALE_WORDS);
  out[3] = thimble_requantize(p, 2 * sums.d, scale + 3 * THIMBLE_SCALE_WORDS);
}

/* Rows [begin, end) of the output. For each four channels, `filters` holds four biases, the weights tap by tap, and
 * four scales. */
THIMBLE_KERNEL void thimble_depthwise_conv_2d_s8_walk_dsp(
    const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_walk_dsp_params *p, const int8_t *in,
    const THIMBLE_FLASH int32_t *filters, int8_t *out, int32_t begin, int32_t end) {
  for (int32_t y = begin; y < end; y++) {
    const THIMBLE_FLASH int32_t *bias = filters;
    const int8_t *lines[THIMBLE_WALK_ROWS];
    for (int32_t i = 0; i < p->kernel_h; i++) {
      const int32_t row = y * p->stride_h - p->pad_top + i * p->dilation_h;
      lines[i] = row >= 0 && row < p->in.height ? in + thimble_row(&p->in, row) : NULL;
    }
    for (int32_t c = 0; c < p->out.channels; c += 4) {
      const THIMBLE_FLASH thimble_word *weights = (const THIMBLE_FLASH thimble_word *)(bias + 4);
      const THIMBLE_FLASH int32_t *scale = bias + 4 + p->kernel_h * p->kernel_w;
      int8_t *pixel = out + thimble_row(&p->out, y) + c;
      for (int32_t x = 0; x < p->out.width; x++) {
        thimble_walk_four sums = {bias[0], bias[1], bias[2], bias[3]};
        sums = thimble_four_window(p, sums, lines, c, x * p->stride_w - p->pad_left, weights);
        thimble_four_outputs(&p->output, sums, scale, pixel);
        pixel += p->out.pixel;
      }
      bias = scale + 4 * THIMBLE_SCALE_WORDS;
    }
  }
}

#endif
