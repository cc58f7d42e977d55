/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV on int16 with weights of int8 and sums of int64 or
 * int32. Outputs are written once each, row by row; input and output must not overlap. */
#ifndef THIMBLE_WEIGHTED_S16_H
#define THIMBLE_WEIGHTED_S16_H

#include "weighted.h"
#include "wide.h"

/* Products that certainly fit into int32 together: (2^16 - 1) * (2^8 - 1) * 128 < 2^31. */
#define THIMBLE_WEIGHTED_S16_RUN 128

/* One filter over one window. */
THIMBLE_INLINE int64_t thimble_weighted_s16_sum(const THIMBLE_FLASH thimble_weighted_params *p, const int16_t *in,
                                                const THIMBLE_FLASH int8_t *weights, const thimble_span *rows,
                                                const thimble_span *columns) {
  const THIMBLE_FLASH thimble_weighted_window *w = &p->over;
  int64_t sum = 0;
  for (int32_t i = 0; i < rows->count; i++) {
    for (int32_t j = 0; j < columns->count; j++) {
      const int16_t *cells = in + thimble_cell_of(w, rows, columns, i, j);
      const THIMBLE_FLASH int8_t *taps = weights + thimble_tap_of(w, rows, columns, i, j);
      for (int32_t c = 0; c < w->depth;) {
        int32_t part = 0;
        for (const int32_t end = thimble_min(w->depth, c + THIMBLE_WEIGHTED_S16_RUN); c < end; c++) {
          part += (cells[c] - p->in_zero) * (taps[c] - p->weight_zero);
        }
        sum += part;
      }
    }
  }
  return sum;
}

/* A filter's sum as an output. The bias is int64 if `wide`, else int32. */
THIMBLE_INLINE int16_t thimble_weighted_s16_output(const THIMBLE_FLASH thimble_weighted_params *p, int64_t sum,
                                                   int32_t filter, const THIMBLE_FLASH void *bias,
                                                   const THIMBLE_FLASH int32_t *scales) {
  const THIMBLE_FLASH int32_t *scale = scales + filter * p->scales;
  if (p->over.biased) {
    sum += thimble_wide_at(bias, filter, p->wide);
  }
  const int32_t scaled = thimble_scale_sum(sum, scale[0], scale[1], p->wide);
  return (int16_t)(thimble_clamp(scaled, p->low, p->high) + p->out_zero);
}

/* Rows [begin, end) of the output. */
THIMBLE_KERNEL void thimble_weighted_s16(const THIMBLE_FLASH thimble_weighted_params *p, const int16_t *in,
                                         const THIMBLE_FLASH int8_t *weights, const THIMBLE_FLASH void *bias,
                                         const THIMBLE_FLASH int32_t *scales, int16_t *out, int32_t begin,
                                         int32_t end) {
  const THIMBLE_FLASH thimble_weighted_window *w = &p->over;
  for (int32_t y = begin; y < end; y++) {
    const thimble_span rows = thimble_rows_of(w, y);
    for (int32_t x = 0; x < w->out.width; x++) {
      const thimble_span columns = thimble_columns_of(w, x);
      int16_t *pixel = out + thimble_row(&w->out, y) + x * w->out.pixel;
      for (int32_t o = 0, channel = 0; o < w->out.channels; channel += w->depth) {
        for (const int32_t last = o + w->filters; o < last; o++) {
          const int64_t sum = thimble_weighted_s16_sum(p, in + channel, weights + o * w->filter, &rows, &columns);
          pixel[o] = thimble_weighted_s16_output(p, sum, o, bias, scales);
        }
      }
    }
  }
}

#endif
