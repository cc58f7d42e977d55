/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes through a table of 256, row by row, into rows of a wider output: CONCATENATION of uint8 in several scales.
 * Read and written in order, each once; no overlap. */
#ifndef THIMBLE_LOOKUP_ROWS_H
#define THIMBLE_LOOKUP_ROWS_H

#include "base.h"

typedef struct {
  int32_t rows, run; /* how many, and bytes of each in the input */
  int32_t row;       /* bytes from one row to the next in the output */
} thimble_lookup_rows_params;

THIMBLE_KERNEL void thimble_lookup_rows(const THIMBLE_FLASH thimble_lookup_rows_params *p, const uint8_t *in,
                                        const THIMBLE_FLASH uint8_t *table, uint8_t *out) {
  for (int32_t y = 0; y < p->rows; y++) {
    for (int32_t i = 0; i < p->run; i++) {
      out[i] = table[*in++];
    }
    out += p->row;
  }
}

#endif
