/* SPDX-License-Identifier: Apache-2.0 */
/* DEPTHWISE_CONV_2D on int8, portable C: weights [KH, KW, C * multiplier] as in the model, four channels at once where
 * there is one output channel per input channel. Input and output must not overlap. Reads row by row, writes in
 * order. */
#ifndef THIMBLE_DEPTHWISE_CONV_2D_S8_H
#define THIMBLE_DEPTHWISE_CONV_2D_S8_H

#include "requantize_s8.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t multiplier; /* output channels per input channel */
  int32_t in_zero, weight_zero;
  thimble_output_s8 output;
} thimble_depthwise_conv_2d_s8_params;

/* Part of a filter and the cells under it. */
typedef struct {
  int32_t rows, columns;   /* of taps in the image */
  int32_t tap;             /* elements of the image from one tap to the next */
  int32_t filter_row;      /* elements of the weights from one row to the next */
  int32_t top;             /* the first row, in the image: rings have no constant distance */
  int32_t column, weights; /* elements from the row's and the filter's first to those at hand */
} thimble_part_s8;

/* A product that fits in 16 bits where the weights' zero point is 0. */
THIMBLE_INLINE uint32_t thimble_tap_s8(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_params *p, int8_t cell,
                                       int8_t weight) {
  if (p->weight_zero == 0) {
    return (uint32_t)((int)(cell - p->in_zero) * weight);
  }
  return (uint32_t)((cell - p->in_zero) * (weight - p->weight_zero));
}

/* Sums of `count` channels, 4 or 1. */
THIMBLE_INLINE thimble_sums thimble_depthwise_sums_s8(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_params *p,
                                                      const thimble_part_s8 *part, const int8_t *in,
                                                      const THIMBLE_FLASH int8_t *weights, int32_t count) {
  thimble_sums sum = {0, 0, 0, 0};
  weights += part->weights;
  for (int32_t i = 0; i < part->rows; i++) {
    const int8_t *cell = in + thimble_row(&p->in, part->top + i * p->dilation_h) + part->column;
    const THIMBLE_FLASH int8_t *tap = weights;
    for (int32_t j = part->columns; j > 0; j--) {
      sum.a += thimble_tap_s8(p, cell[0], tap[0]);
      if (count == 4) {
        sum.b += thimble_tap_s8(p, cell[1], tap[1]);
        sum.c += thimble_tap_s8(p, cell[2], tap[2]);
        sum.d += thimble_tap_s8(p, cell[3], tap[3]);
      }
      cell += part->tap;
      tap += p->out.channels;
    }
    weights += part->filter_row;
  }
  return sum;
}

/* All channels of one pixel. */
THIMBLE_INLINE void thimble_depthwise_pixel_s8(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_params *p,
                                               const thimble_part_s8 *part, const int8_t *in,
                                               const THIMBLE_FLASH int8_t *weights,
                                               const THIMBLE_FLASH int32_t *channel, int8_t *out) {
  int32_t o = 0;
  if (p->multiplier == 1) {
    for (; o + 4 <= p->out.channels; o += 4) {
      const thimble_sums sum = thimble_depthwise_sums_s8(p, part, in + o, weights + o, 4);
      out[o] = thimble_requantize_s8(&p->output, sum.a, channel);
      out[o + 1] = thimble_requantize_s8(&p->output, sum.b, channel + THIMBLE_CHANNEL_WORDS);
      out[o + 2] = thimble_requantize_s8(&p->output, sum.c, channel + 2 * THIMBLE_CHANNEL_WORDS);
      out[o + 3] = thimble_requantize_s8(&p->output, sum.d, channel + 3 * THIMBLE_CHANNEL_WORDS);
      channel += 4 * THIMBLE_CHANNEL_WORDS;
    }
  }
  for (; o < p->out.channels; o++) {
    const uint32_t sum = thimble_depthwise_sums_s8(p, part, in + o / p->multiplier, weights + o, 1).a;
    out[o] = thimble_requantize_s8(&p->output, sum, channel);
    channel += THIMBLE_CHANNEL_WORDS;
  }
}

/* Rows [begin, end) of the output. `channels` holds (bias, multiplier, shift) per output channel. */
THIMBLE_KERNEL void thimble_depthwise_conv_2d_s8(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_params *p,
                                                 const int8_t *in, const THIMBLE_FLASH int8_t *weights,
                                                 const THIMBLE_FLASH int32_t *channels, int8_t *out, int32_t begin,
                                                 int32_t end) {
  thimble_part_s8 part;
  part.tap = p->dilation_w * p->in.pixel;
  part.filter_row = p->kernel_w * p->out.channels;
  for (int32_t y = begin; y < end; y++) {
    const int32_t top = y * p->stride_h - p->pad_top;
    const thimble_inside rows = thimble_taps_inside(top, p->in.height, p->kernel_h, p->dilation_h);
    int8_t *pixel = out + thimble_row(&p->out, y);
    part.rows = rows.end - rows.first;
    part.top = top + rows.first * p->dilation_h;
    for (int32_t x = 0; x < p->out.width; x++) {
      const int32_t left = x * p->stride_w - p->pad_left;
      const thimble_inside columns = thimble_taps_inside(left, p->in.width, p->kernel_w, p->dilation_w);
      part.columns = columns.end - columns.first;
      part.column = (left + columns.first * p->dilation_w) * p->in.pixel;
      part.weights = (rows.first * p->kernel_w + columns.first) * p->out.channels;
      thimble_depthwise_pixel_s8(p, &part, in, weights, channels, pixel);
      pixel += p->out.pixel;
    }
  }
}

#endif
