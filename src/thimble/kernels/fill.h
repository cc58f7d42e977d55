/* SPDX-License-Identifier: Apache-2.0 */
/* One value everywhere, from the first byte to the last. */
#ifndef THIMBLE_FILL_H
#define THIMBLE_FILL_H

#include "move.h"

typedef struct {
  int32_t bytes, value;
  int32_t item; /* bytes of the value: 1, 2 or 4 */
} thimble_fill_params;

THIMBLE_KERNEL void thimble_fill(const THIMBLE_FLASH thimble_fill_params *p, void *out) {
  (void)thimble_fill_bytes((uint8_t *)out, p->bytes, p->value, p->item);
}

#endif
