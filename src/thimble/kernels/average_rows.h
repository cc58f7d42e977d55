/* SPDX-License-Identifier: Apache-2.0 */
/* AVERAGE_POOL_2D on int8 over a whole image of at most 256 pixels, of which rows are handed over one after another. The
 * work space holds the sums from the first row to the last, with which the only pixel of the output is written. */
#ifndef THIMBLE_AVERAGE_ROWS_H
#define THIMBLE_AVERAGE_ROWS_H

#include "pool_2d.h"

/* Rows [begin, end) of the input. */
THIMBLE_KERNEL void thimble_average_rows(const THIMBLE_FLASH thimble_pool_2d_params *p, const int8_t *in, int8_t *out,
                                         void *scratch, int32_t begin, int32_t end) {
  int16_t *sums = (int16_t *)scratch;
  for (int32_t y = begin; y < end; y++) {
    const int8_t *row = in + thimble_row(&p->in, y);
    for (int32_t c = 0; c < p->in.channels; c++) {
      const int8_t *cell = row + c;
      int32_t sum = y == 0 ? 0 : sums[c];
      THIMBLE_UNROLL(4)
      for (int32_t x = 0; x < p->in.width; x++) {
        sum += *cell;
        cell += p->in.pixel;
      }
      sums[c] = (int16_t)sum;
    }
  }
  if (end == p->in.height) {
    thimble_pool_window window = {{0, 0}, {0, 0}, p->in.height * p->in.width, 0};
    window.reciprocal = ((uint32_t)1 << 24) / (uint32_t)window.count + 1;
    for (int32_t c = 0; c < p->in.channels; c++) {
      out[c] = (int8_t)thimble_clamp(thimble_pool_mean(sums[c], &window, p), p->low, p->high);
    }
  }
}

#endif
