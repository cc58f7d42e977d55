/* SPDX-License-Identifier: Apache-2.0 */
/* AVERAGE_POOL_2D and MAX_POOL_2D on integers.
 * Pixels are written row by row, once each; of a pixel, all cells of four channels (or, at the end, of one) are read
 * before these channels are written. A pool without padding never reads what lies before the place that it writes: its
 * output may start where its input does. With padding input and output must not overlap. */
#ifndef THIMBLE_POOL_2D_H
#define THIMBLE_POOL_2D_H

#include "elements.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  int32_t divides; /* averages are quotients; else their windows are small enough for a reciprocal */
  int32_t up;      /* averages: halves are rounded up, as of uint8 that is kept as int8; else away from zero */
  int32_t low, high;
} thimble_pool_2d_params;

/* The cells of a window that are inside the image, along one axis. At least one is. */
typedef struct {
  int32_t first, count;
} thimble_pool_span;

THIMBLE_INLINE thimble_pool_span thimble_pool_span_of(int32_t start, int32_t kernel, int32_t size) {
  thimble_pool_span span;
  span.first = thimble_max(start, 0);
  span.count = thimble_min(start + kernel, size) - span.first;
  return span;
}

typedef struct {
  thimble_pool_span rows, columns;
  int32_t count;
  uint32_t reciprocal; /* the next integer above 2^24 / count */
} thimble_pool_window;

/* sum / count to nearest, ties away from zero or `up`. The reciprocal gives the exact quotient: for 8-bit elements the
 * dividend is below 256 * count and count at most 256, so the error of the product is below 1 / count: no integer is
 * between. */
THIMBLE_INLINE int32_t thimble_pool_mean(int32_t sum, const thimble_pool_window *window,
                                         const THIMBLE_FLASH thimble_pool_2d_params *p) {
  const uint32_t count = (uint32_t)window->count;
  const uint32_t half = sum < 0 && p->up ? count - 1 - count / 2 : count / 2;
  const uint32_t dividend = (sum < 0 ? 0u - (uint32_t)sum : (uint32_t)sum) + half;
  const int32_t mean = (int32_t)(p->divides ? dividend / count : dividend * window->reciprocal >> 24);
  return sum < 0 ? -mean : mean;
}

THIMBLE_INLINE int32_t thimble_pool_join(int32_t a, int32_t x, int32_t largest) {
  return largest ? thimble_max(a, x) : a + x;
}

/* Four channels of a pixel from channel `c` on, or one: `channels` says which. */
THIMBLE_INLINE void thimble_pool_2d_channels(const THIMBLE_FLASH thimble_pool_2d_params *p, const void *in, void *out,
                                             const thimble_pool_window *window, int32_t c, int32_t to,
                                             int32_t channels, int32_t largest, int32_t type) {
  const int32_t start = largest ? p->low : 0;
  int32_t a[4] = {start, start, start, start};
  for (int32_t i = 0; i < window->rows.count; i++) {
    int32_t at = thimble_row(&p->in, window->rows.first + i) + window->columns.first * p->in.pixel + c;
    for (int32_t j = window->columns.count; j > 0; j--) {
      a[0] = thimble_pool_join(a[0], thimble_get(in, at, type), largest);
      if (channels == 4) {
        a[1] = thimble_pool_join(a[1], thimble_get(in, at + 1, type), largest);
        a[2] = thimble_pool_join(a[2], thimble_get(in, at + 2, type), largest);
        a[3] = thimble_pool_join(a[3], thimble_get(in, at + 3, type), largest);
      }
      at += p->in.pixel;
    }
  }
  for (int32_t k = 0; k < channels; k++) {
    const int32_t value = largest ? a[k] : thimble_pool_mean(a[k], window, p);
    thimble_put(out, to + c + k, thimble_clamp(value, p->low, p->high), type);
  }
}

THIMBLE_INLINE void thimble_pool_2d(const THIMBLE_FLASH thimble_pool_2d_params *p, const void *in, void *out,
                                    int32_t begin, int32_t end, int32_t largest, int32_t type) {
  thimble_pool_window window;
  for (int32_t y = begin; y < end; y++) {
    window.rows = thimble_pool_span_of(y * p->stride_h - p->pad_top, p->kernel_h, p->in.height);
    for (int32_t x = 0; x < p->out.width; x++) {
      window.columns = thimble_pool_span_of(x * p->stride_w - p->pad_left, p->kernel_w, p->in.width);
      window.count = window.rows.count * window.columns.count;
      window.reciprocal = largest || p->divides ? 0 : ((uint32_t)1 << 24) / (uint32_t)window.count + 1;
      const int32_t to = thimble_row(&p->out, y) + x * p->out.pixel;
      int32_t c = 0;
      for (int32_t left = p->in.channels; left >= 4; left -= 4) {
        thimble_pool_2d_channels(p, in, out, &window, c, to, 4, largest, type);
        c += 4;
      }
      for (int32_t left = p->in.channels % 4; left > 0; left--) {
        thimble_pool_2d_channels(p, in, out, &window, c, to, 1, largest, type);
        c++;
      }
    }
  }
}

/* Rows [begin, end) of the output. */
THIMBLE_KERNEL void thimble_average_pool_2d_s8(const THIMBLE_FLASH thimble_pool_2d_params *p, const int8_t *in,
                                               int8_t *out, int32_t begin, int32_t end) {
  thimble_pool_2d(p, in, out, begin, end, 0, THIMBLE_S8);
}
THIMBLE_KERNEL void thimble_average_pool_2d_u8(const THIMBLE_FLASH thimble_pool_2d_params *p, const uint8_t *in,
                                               uint8_t *out, int32_t begin, int32_t end) {
  thimble_pool_2d(p, in, out, begin, end, 0, THIMBLE_U8);
}
THIMBLE_KERNEL void thimble_average_pool_2d_s16(const THIMBLE_FLASH thimble_pool_2d_params *p, const int16_t *in,
                                                int16_t *out, int32_t begin, int32_t end) {
  thimble_pool_2d(p, in, out, begin, end, 0, THIMBLE_S16);
}
THIMBLE_KERNEL void thimble_max_pool_2d_s8(const THIMBLE_FLASH thimble_pool_2d_params *p, const int8_t *in,
                                           int8_t *out, int32_t begin, int32_t end) {
  thimble_pool_2d(p, in, out, begin, end, 1, THIMBLE_S8);
}
THIMBLE_KERNEL void thimble_max_pool_2d_u8(const THIMBLE_FLASH thimble_pool_2d_params *p, const uint8_t *in,
                                           uint8_t *out, int32_t begin, int32_t end) {
  thimble_pool_2d(p, in, out, begin, end, 1, THIMBLE_U8);
}
THIMBLE_KERNEL void thimble_max_pool_2d_s16(const THIMBLE_FLASH thimble_pool_2d_params *p, const int16_t *in,
                                            int16_t *out, int32_t begin, int32_t end) {
  thimble_pool_2d(p, in, out, begin, end, 1, THIMBLE_S16);
}

#endif
