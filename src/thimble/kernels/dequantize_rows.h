/* SPDX-License-Identifier: Apache-2.0 */
/* EMBEDDING_LOOKUP of int8 rows as floats: element times scale. The output is written in order; no overlap.
 * A row outside the table counts as the nearest one inside. */
#ifndef THIMBLE_DEQUANTIZE_ROWS_H
#define THIMBLE_DEQUANTIZE_ROWS_H

#include "base.h"

typedef struct {
  int32_t count, last; /* rows wanted, and number of the table's last row */
  int32_t run;         /* elements of a row */
  float scale;
} thimble_dequantize_rows_params;

THIMBLE_KERNEL void thimble_dequantize_rows(const THIMBLE_FLASH thimble_dequantize_rows_params *p,
                                            const int32_t *rows, const int8_t *table, float *out) {
  for (int32_t c = 0; c < p->count; c++) {
    const int8_t *row = table + thimble_clamp(rows[c], 0, p->last) * p->run;
    for (int32_t i = 0; i < p->run; i++) {
      *out++ = (float)row[i] * p->scale;
    }
  }
}

#endif
