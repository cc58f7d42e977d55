/* SPDX-License-Identifier: Apache-2.0 */
/* Any function of single 8-bit elements, by a table. Input and output may be the same bytes. */
#ifndef THIMBLE_TABLE_8_H
#define THIMBLE_TABLE_8_H

#include "pairs.h"

/* `table` has an entry per byte; that of a negative int8 is at 256 more. */
THIMBLE_SMALL_KERNEL void thimble_table_8(const THIMBLE_FLASH thimble_each_params *p, const void *in,
                                          const THIMBLE_FLASH uint8_t *table, uint8_t *out) {
  for (int32_t i = 0; i < p->count; i++) {
    out[i] = table[((const uint8_t *)in)[i]];
  }
}

#endif
