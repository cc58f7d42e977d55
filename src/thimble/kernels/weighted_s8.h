/* SPDX-License-Identifier: Apache-2.0 */
/* On int8: CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED with weights of 4 bits, and TRANSPOSE_CONV. Outputs are
 * written once each, row by row; input and output must not overlap. */
#ifndef THIMBLE_WEIGHTED_S8_H
#define THIMBLE_WEIGHTED_S8_H

#include "weighted.h"

/* Element `index` of an array of 4-bit integers. */
THIMBLE_INLINE int32_t thimble_nibble(const THIMBLE_FLASH int8_t *pairs, int32_t index) {
  const int32_t pair = pairs[index >> 1];
  return ((((index & 1) ? pair >> 4 : pair) & 15) ^ 8) - 8;
}

/* One filter, whose weights begin at element `filter`, over one window. */
THIMBLE_INLINE uint32_t thimble_weighted_s8_sum(const THIMBLE_FLASH thimble_weighted_params *p, const int8_t *in,
                                                const THIMBLE_FLASH int8_t *weights, int32_t filter,
                                                const thimble_span *rows, const thimble_span *columns) {
  const THIMBLE_FLASH thimble_weighted_window *w = &p->over;
  uint32_t sum = 0;
  for (int32_t i = 0; i < rows->count; i++) {
    for (int32_t j = 0; j < columns->count; j++) {
      const int8_t *cells = in + thimble_cell_of(w, rows, columns, i, j);
      const int32_t tap = filter + thimble_tap_of(w, rows, columns, i, j);
      for (int32_t c = 0; c < w->depth; c++) {
        const int32_t weight = p->nibbles ? thimble_nibble(weights, tap + c) : weights[tap + c];
        sum += (uint32_t)((cells[c] - p->in_zero) * (weight - p->weight_zero));
      }
    }
  }
  return sum;
}

/* Rows [begin, end) of the output. */
THIMBLE_KERNEL void thimble_weighted_s8(const THIMBLE_FLASH thimble_weighted_params *p, const int8_t *in,
                                        const THIMBLE_FLASH int8_t *weights, const THIMBLE_FLASH int32_t *bias,
                                        const THIMBLE_FLASH int32_t *scales, int8_t *out, int32_t begin, int32_t end) {
  const THIMBLE_FLASH thimble_weighted_window *w = &p->over;
  for (int32_t y = begin; y < end; y++) {
    const thimble_span rows = thimble_rows_of(w, y);
    for (int32_t x = 0; x < w->out.width; x++) {
      const thimble_span columns = thimble_columns_of(w, x);
      int8_t *pixel = out + thimble_row(&w->out, y) + x * w->out.pixel;
      for (int32_t o = 0, channel = 0; o < w->out.channels; channel += w->depth) {
        for (const int32_t last = o + w->filters; o < last; o++) {
          uint32_t sum = thimble_weighted_s8_sum(p, in + channel, weights, o * w->filter, &rows, &columns);
          sum += w->biased ? (uint32_t)bias[o] : 0u;
          const THIMBLE_FLASH int32_t *scale = scales + o * p->scales;
          const int32_t scaled = thimble_rescale((int32_t)sum, scale[0], scale[1]);
          pixel[o] = (int8_t)(thimble_clamp(scaled, p->low, p->high) + p->out_zero);
        }
      }
    }
  }
}

#endif
