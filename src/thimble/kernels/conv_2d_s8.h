/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D and FULLY_CONNECTED on int8, portable C: four filters at once, so that each cell is read once for four
 * products, and the zero point taken off once.
 *
 * Weights of four filters are interleaved, [O / 4, KH, KW, C, 4]; up to three filters that are left in a group follow
 * one after another. Products of a cell less its zero point with a weight fit in 16 bits. Input and output must not
 * overlap. Reads row by row, writes in order. */
#ifndef THIMBLE_CONV_2D_S8_H
#define THIMBLE_CONV_2D_S8_H

#include "requantize_s8.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t depth;   /* input channels that a filter sees; fewer than all where there are groups */
  int32_t filters; /* per group */
  int32_t in_zero, weight_zero;
  thimble_output_s8 output;
} thimble_conv_2d_s8_params;

/* A window on the channels of a group: the cell under its first tap, and which taps are in the image. */
typedef struct {
  const int8_t *in; /* the group's first channel of the image's first pixel */
  int32_t y, x;
  thimble_inside rows, columns;
} thimble_window_s8;

/* `count` cells times four filters. */
THIMBLE_INLINE thimble_sums thimble_run_by_four(const int8_t *cells, const THIMBLE_FLASH int8_t *weights,
                                                int32_t count, int32_t zero, thimble_sums sum) {
  THIMBLE_UNROLL(4)
  for (int32_t i = 0; i < count; i++) {
    const int cell = (int)(cells[i] - zero); /* 16 bits are enough */
    sum.a += (uint32_t)(cell * weights[0]);
    sum.b += (uint32_t)(cell * weights[1]);
    sum.c += (uint32_t)(cell * weights[2]);
    sum.d += (uint32_t)(cell * weights[3]);
    weights += 4;
  }
  return sum;
}

/* Thumb-1 loads signed bytes at register offsets only, and calculates in eight registers. There a cell's four weights
 * are loaded as one word, and the sums live in the other registers, which take part in additions alone; clang would
 * move them to and fro. */
#if defined(__thumb__) && !defined(__thumb2__) && !defined(__clang__) && !defined(__ARM_BIG_ENDIAN) && \
    !defined(THIMBLE_SHARE_KERNELS)
#define THIMBLE_FOUR_BY_WORD 1

THIMBLE_INLINE uint32_t thimble_add_high(uint32_t sum, int32_t term) {
  __asm__("add %0, %1" : "+h"(sum) : "l"(term));
  return sum;
}

/* As thimble_run_by_four; `weights` are aligned to 4. */
THIMBLE_INLINE thimble_sums thimble_run_by_word(const int8_t *cells, const int8_t *weights, int32_t count,
                                                int32_t zero, thimble_sums sum) {
  THIMBLE_UNROLL(4)
  for (int32_t i = 0; i < count; i++) {
    const int32_t cell = cells[i] - zero;
    uint32_t word;
    memcpy(&word, __builtin_assume_aligned(weights, 4), 4);
    sum.a = thimble_add_high(sum.a, cell * (int8_t)word);
    sum.b = thimble_add_high(sum.b, cell * (int8_t)(word >> 8));
    sum.c = thimble_add_high(sum.c, cell * (int8_t)(word >> 16));
    sum.d = thimble_add_high(sum.d, cell * (int8_t)(word >> 24));
    weights += 4;
  }
  return sum;
}
#else
#define THIMBLE_FOUR_BY_WORD 0
#define thimble_run_by_word thimble_run_by_four
#endif

/* `count` cells times one filter. */
THIMBLE_INLINE uint32_t thimble_run_by_one(const int8_t *cells, const THIMBLE_FLASH int8_t *weights, int32_t count,
                                           int32_t zero, uint32_t sum) {
  THIMBLE_UNROLL(4)
  for (int32_t i = 0; i < count; i++) {
    sum += (uint32_t)((int)(cells[i] - zero) * weights[i]);
  }
  return sum;
}

/* The sums of four filters over a window, or of one filter (`width` 1), or with no weights (0) those of the cells. */
THIMBLE_INLINE thimble_sums thimble_conv_2d_s8_sums(const THIMBLE_FLASH thimble_conv_2d_s8_params *p,
                                                    const thimble_window_s8 *window,
                                                    const THIMBLE_FLASH int8_t *weights, int32_t width) {
  const int32_t dense = p->kernel_w == 1 || (p->dilation_w == 1 && p->in.pixel == p->depth);
  const int32_t columns = window->columns.end - window->columns.first;
  const int32_t runs = dense && columns > 0 ? 1 : columns, count = dense ? columns * p->depth : p->depth;
  thimble_sums sum = {0, 0, 0, 0};
  for (int32_t i = window->rows.first; i < window->rows.end; i++) {
    const int32_t column = window->x + window->columns.first * p->dilation_w;
    const int8_t *cells = window->in + thimble_row(&p->in, window->y + i * p->dilation_h) + column * p->in.pixel;
    const THIMBLE_FLASH int8_t *taps = weights + (i * p->kernel_w + window->columns.first) * p->depth * width;
    for (int32_t j = 0; j < runs; j++) {
      /* Those of later groups are aligned where no filters are left over in the earlier ones. */
      if (width == 4 && THIMBLE_FOUR_BY_WORD && (p->filters % 4 == 0 || p->filters == p->out.channels)) {
        sum = thimble_run_by_word(cells, taps, count, p->in_zero, sum);
      } else if (width == 4) {
        sum = thimble_run_by_four(cells, taps, count, p->in_zero, sum);
      } else if (width == 1) {
        sum.a = thimble_run_by_one(cells, taps, count, p->in_zero, sum.a);
      } else {
        for (int32_t c = 0; c < count; c++) {
          sum.a += (uint32_t)(cells[c] - p->in_zero);
        }
      }
      cells += p->dilation_w * p->in.pixel;
      taps += count * width;
    }
  }
  return sum;
}

/* The filters of one group over a window. */
THIMBLE_INLINE void thimble_conv_2d_s8_group(const THIMBLE_FLASH thimble_conv_2d_s8_params *p,
                                             const thimble_window_s8 *window, const THIMBLE_FLASH int8_t *weights,
                                             const THIMBLE_FLASH int32_t *channel, int8_t *out) {
  const int32_t taps = p->kernel_h * p->kernel_w * p->depth;
  uint32_t off = 0; /* what the weights' zero point contributes */
  if (p->weight_zero != 0) {
    off = thimble_conv_2d_s8_sums(p, window, weights, 0).a * (uint32_t)p->weight_zero;
  }
  int32_t o = 0;
  for (; o + 4 <= p->filters; o += 4) {
    const thimble_sums sum = thimble_conv_2d_s8_sums(p, window, weights, 4);
    out[o] = thimble_requantize_s8(&p->output, sum.a - off, channel);
    out[o + 1] = thimble_requantize_s8(&p->output, sum.b - off, channel + THIMBLE_CHANNEL_WORDS);
    out[o + 2] = thimble_requantize_s8(&p->output, sum.c - off, channel + 2 * THIMBLE_CHANNEL_WORDS);
    out[o + 3] = thimble_requantize_s8(&p->output, sum.d - off, channel + 3 * THIMBLE_CHANNEL_WORDS);
    weights += 4 * taps;
    channel += 4 * THIMBLE_CHANNEL_WORDS;
  }
  for (; o < p->filters; o++) {
    const uint32_t sum = thimble_conv_2d_s8_sums(p, window, weights, 1).a;
    out[o] = thimble_requantize_s8(&p->output, sum - off, channel);
    weights += taps;
    channel += THIMBLE_CHANNEL_WORDS;
  }
}

/* Rows [begin, end) of the output. `channels` holds (bias, multiplier, shift) per filter. */
THIMBLE_KERNEL void thimble_conv_2d_s8(const THIMBLE_FLASH thimble_conv_2d_s8_params *p, const int8_t *in,
                                       const THIMBLE_FLASH int8_t *weights, const THIMBLE_FLASH int32_t *channels,
                                       int8_t *out, int32_t begin, int32_t end) {
  const int32_t group = p->filters * p->kernel_h * p->kernel_w * p->depth;
  thimble_window_s8 window;
  for (int32_t y = begin; y < end; y++) {
    int8_t *pixel = out + thimble_row(&p->out, y);
    window.y = y * p->stride_h - p->pad_top;
    window.rows = thimble_taps_inside(window.y, p->in.height, p->kernel_h, p->dilation_h);
    for (int32_t x = 0; x < p->out.width; x++) {
      window.x = x * p->stride_w - p->pad_left;
      window.columns = thimble_taps_inside(window.x, p->in.width, p->kernel_w, p->dilation_w);
      window.in = in;
      const THIMBLE_FLASH int8_t *filters = weights;
      for (int32_t o = 0; o < p->out.channels; o += p->filters) {
        thimble_conv_2d_s8_group(p, &window, filters, channels + THIMBLE_CHANNEL_WORDS * o, pixel + o);
        window.in += p->depth;
        filters += group;
      }
      pixel += p->out.pixel;
    }
  }
}

#endif
