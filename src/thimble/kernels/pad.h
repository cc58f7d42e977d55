/* SPDX-License-Identifier: Apache-2.0 */
/* PAD: runs of bytes with a value before, between and behind them.
 * Input and output are read and written once each, from the first byte to the last; they must not overlap. */
#ifndef THIMBLE_PAD_H
#define THIMBLE_PAD_H

#include "move.h"

#define THIMBLE_PAD_LEVELS 3

/* Level by level, outermost first: bytes before and behind `extent` times the next level. The last holds one run. */
typedef struct {
  int32_t before[THIMBLE_PAD_LEVELS], after[THIMBLE_PAD_LEVELS], extent[THIMBLE_PAD_LEVELS - 1];
  int32_t run; /* bytes that are copied at once */
  int32_t value, item;
} thimble_pad_params;

THIMBLE_KERNEL void thimble_pad(const THIMBLE_FLASH thimble_pad_params *p, const void *in, void *out) {
  const uint8_t *from = (const uint8_t *)in;
  uint8_t *to = thimble_fill_bytes((uint8_t *)out, p->before[0], p->value, p->item);
  for (int32_t i = 0; i < p->extent[0]; i++) {
    to = thimble_fill_bytes(to, p->before[1], p->value, p->item);
    for (int32_t j = 0; j < p->extent[1]; j++) {
      to = thimble_fill_bytes(to, p->before[2], p->value, p->item);
      memcpy(to, from, (size_t)p->run);
      from += p->run;
      to = thimble_fill_bytes(to + p->run, p->after[2], p->value, p->item);
    }
    to = thimble_fill_bytes(to, p->after[1], p->value, p->item);
  }
  (void)thimble_fill_bytes(to, p->after[0], p->value, p->item);
}

#endif
