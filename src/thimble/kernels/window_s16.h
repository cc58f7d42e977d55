/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of int16 in one piece for many filters, and sums of int32 to outputs, four at a time.
 *
 * TFLM computes floor((sum * m + 2^(right - 1)) / 2^right) with an m of 15 bits. For right of 17 or more that is
 * (floor(sum * (2^16 m) / 2^32) + 2^(right - 17)) >> (right - 16), as nested floors are one. Source: see wide.h. */
#ifndef THIMBLE_WINDOW_S16_H
#define THIMBLE_WINDOW_S16_H

#include "dsp.h"
#include "saturate.h"
#include "weighted_s16.h"

/* Per four filters: four multipliers, four constants, four shifts to the right. */
#define THIMBLE_SCALE_WORDS_S16 12

/* Up to four sums to `count` outputs. */
THIMBLE_INLINE void thimble_outputs_s16(const THIMBLE_FLASH thimble_weighted_params *p, const int32_t sums[4],
                                        const THIMBLE_FLASH int32_t *scale, int16_t *out, int32_t count) {
  THIMBLE_UNROLL(4)
  for (int32_t i = 0; i < 4; i++) {
    if (i < count) {
      const int32_t scaled = thimble_high_mla_floor(sums[i], scale[i], scale[i + 4]) >> scale[i + 8];
      out[i] = (int16_t)(thimble_saturated(scaled, p->low, p->high) + p->out_zero);
    }
  }
}

THIMBLE_INLINE void thimble_copy_s16(int16_t *to, const int16_t *from, int32_t count) {
  int32_t i = 0;
  THIMBLE_UNROLL(4)
  for (; i < count - 1; i += 2) {
    const uint32_t word = thimble_load((const int8_t *)(from + i));
    memcpy(to + i, &word, sizeof word);
  }
  if (i < count) {
    to[i] = from[i];
  }
}

/* The cells under the window at an output's pixel, with zeros outside the image. Windows of one pixel stay where they
 * are if `direct`, others are copied to `window`. */
THIMBLE_INLINE const int16_t *thimble_window_s16(const THIMBLE_FLASH thimble_weighted_window *w, const int16_t *in,
                                                 const thimble_span *rows, int32_t x, int32_t direct,
                                                 int16_t *window) {
  const thimble_span columns = thimble_columns_of(w, x);
  const int32_t dense = w->dilation_w == 1 && w->in.pixel == w->depth, taps = w->kernel_h * w->kernel_w * w->depth;
  if (direct) {
    return in + thimble_cell_of(w, rows, &columns, 0, 0);
  }
  if (rows->count < w->kernel_h || columns.count < w->kernel_w) {
    memset(window, 0, (size_t)taps * sizeof *window);
  }
  for (int32_t i = 0; i < rows->count; i++) {
    for (int32_t j = 0; j < columns.count; j += dense ? columns.count : 1) {
      thimble_copy_s16(window + thimble_tap_of(w, rows, &columns, i, j),
                       in + thimble_cell_of(w, rows, &columns, i, j), w->depth * (dense ? columns.count : 1));
    }
  }
  return window;
}

#endif
