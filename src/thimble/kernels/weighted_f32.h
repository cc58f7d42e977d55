/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV on float32. Sums are float32, tap by tap, channels
 * innermost. Outputs are written once each, row by row; input and output must not overlap. */
#ifndef THIMBLE_WEIGHTED_F32_H
#define THIMBLE_WEIGHTED_F32_H

#include "weighted.h"

/* One filter over one window, on top of `sum`. */
THIMBLE_INLINE float thimble_weighted_f32_sum(const THIMBLE_FLASH thimble_weighted_window *w, const float *in,
                                              const THIMBLE_FLASH float *weights, const thimble_span *rows,
                                              const thimble_span *columns, float sum) {
  for (int32_t i = 0; i < rows->count; i++) {
    for (int32_t j = 0; j < columns->count; j++) {
      const float *cells = in + thimble_cell_of(w, rows, columns, i, j);
      const THIMBLE_FLASH float *taps = weights + thimble_tap_of(w, rows, columns, i, j);
      for (int32_t c = 0; c < w->depth; c++) {
        sum += cells[c] * taps[c];
      }
    }
  }
  return sum;
}

/* Rows [begin, end) of the output. */
THIMBLE_KERNEL void thimble_weighted_f32(const THIMBLE_FLASH thimble_weighted_f32_params *p, const float *in,
                                         const THIMBLE_FLASH float *weights, const THIMBLE_FLASH float *bias,
                                         float *out, int32_t begin, int32_t end) {
  const THIMBLE_FLASH thimble_weighted_window *w = &p->over;
  for (int32_t y = begin; y < end; y++) {
    const thimble_span rows = thimble_rows_of(w, y);
    for (int32_t x = 0; x < w->out.width; x++) {
      const thimble_span columns = thimble_columns_of(w, x);
      float *pixel = out + thimble_row(&w->out, y) + x * w->out.pixel;
      for (int32_t o = 0, channel = 0; o < w->out.channels; channel += w->depth) {
        for (const int32_t last = o + w->filters; o < last; o++) {
          const float sum = thimble_weighted_f32_sum(w, in + channel, weights + o * w->filter, &rows, &columns, 0.0f);
          const float total = w->biased ? sum + bias[o] : sum;
          pixel[o] = total < p->low ? p->low : total > p->high ? p->high : total;
        }
      }
    }
  }
}

#endif
