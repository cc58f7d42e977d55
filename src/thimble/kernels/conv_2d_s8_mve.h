/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D and FULLY_CONNECTED on int8 with Helium: one window times four filters at once, 16 products per instruction.
 *
 * Filters [O, taps] as in the model. A window is copied together, unless it is one pixel; outside the image stands the
 * zero point, whose part is in the biases. Input and output must not overlap. Reads row by row, writes in order. */
#ifndef THIMBLE_CONV_2D_S8_MVE_H
#define THIMBLE_CONV_2D_S8_MVE_H

#include "mve.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t depth; /* channels of the input */
  int32_t taps;  /* kernel_h * kernel_w * depth */
  int32_t in_zero;
  thimble_output_mve output;
} thimble_conv_2d_s8_mve_params;

/* The window whose first tap is at row y and column x. */
THIMBLE_INLINE void thimble_conv_2d_s8_mve_window(const THIMBLE_FLASH thimble_conv_2d_s8_mve_params *p,
                                                  const int8_t *in, int32_t y, int32_t x, int8_t *window) {
  const int32_t run = p->kernel_w * p->depth;
  const int32_t dense = p->dilation_w == 1 && p->in.pixel == p->depth;
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const int32_t row = y + i * p->dilation_h;
    const int32_t inside = row >= 0 && row < p->in.height;
    const int8_t *line = inside ? in + thimble_row(&p->in, row) + x * p->in.pixel : in;
    if (!inside) {
      thimble_fill_mve(window, p->in_zero, run);
    } else if (dense) { /* the part of the row that is inside, and what is left and right of it */
      const int32_t left = thimble_max(-x, 0), right = thimble_max(x + p->kernel_w - p->in.width, 0);
      if (left + right > 0) {
        thimble_fill_mve(window, p->in_zero, run);
      }
      thimble_copy_bytes(window + left * p->depth, line + left * p->depth, run - (left + right) * p->depth);
    } else {
      for (int32_t j = 0; j < p->kernel_w; j++) {
        const int32_t column = x + j * p->dilation_w;
        if (column >= 0 && column < p->in.width) {
          thimble_copy_bytes(window + j * p->depth, line + j * p->dilation_w * p->in.pixel, p->depth);
        } else {
          thimble_fill_mve(window + j * p->depth, p->in_zero, p->depth);
        }
      }
    }
    window += run;
  }
}

/* Rows [begin, end) of the output. `channels` holds biases, multipliers and shifts of four filters at a time. Work
 * space: one window. */
THIMBLE_KERNEL void thimble_conv_2d_s8_mve(const THIMBLE_FLASH thimble_conv_2d_s8_mve_params *p, const int8_t *in,
                                           const THIMBLE_FLASH int8_t *weights,
                                           const THIMBLE_FLASH int32_t *channels, int8_t *out, void *scratch,
                                           int32_t begin, int32_t end) {
  const int32_t direct = p->taps == p->depth && p->pad_top == 0 && p->pad_left == 0;
  for (int32_t y = begin; y < end; y++) {
    for (int32_t x = 0; x < p->out.width; x++) {
      const int32_t top = y * p->stride_h - p->pad_top, left = x * p->stride_w - p->pad_left;
      const int8_t *window = (const int8_t *)scratch;
      if (direct) {
        window = in + thimble_row(&p->in, top) + left * p->in.pixel;
      } else {
        thimble_conv_2d_s8_mve_window(p, in, top, left, (int8_t *)scratch);
      }
      int8_t *pixel = out + thimble_row(&p->out, y) + x * p->out.pixel;
      const THIMBLE_FLASH int8_t *filter = weights;
      const THIMBLE_FLASH int32_t *channel = channels;
      for (int32_t o = 0; o < p->out.channels; o += 4) {
        const int32_t count = p->out.channels - o; /* fewer than four at the end: the last one several times */
        const thimble_four sum = thimble_dot_four(window, filter, p->taps, p->taps, count, channel);
        thimble_finish_four(&p->output, sum, channel, pixel + o, count);
        filter += 4 * p->taps;
        channel += THIMBLE_CHANNEL_WORDS;
      }
    }
  }
}

#endif
