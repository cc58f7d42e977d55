/* SPDX-License-Identifier: Apache-2.0 */
/* PAD of an image, some of its rows: a value around rows, columns and channels. Reads and writes row by row; they must
 * not overlap. */
#ifndef THIMBLE_PAD_ROWS_H
#define THIMBLE_PAD_ROWS_H

#include "move.h"

typedef struct {
  thimble_image in, out; /* of bytes */
  int32_t pad_top;
  int32_t before[2], after[2]; /* bytes at both ends of a row, and of each piece in it */
  int32_t pieces, run;         /* pieces of a row, and the bytes of each */
  int32_t value, item;
} thimble_pad_rows_params;

/* Rows [begin, end) of the output. */
THIMBLE_KERNEL void thimble_pad_rows(const THIMBLE_FLASH thimble_pad_rows_params *p, const void *in, void *out,
                                     int32_t begin, int32_t end) {
  for (int32_t y = begin; y < end; y++) {
    uint8_t *to = (uint8_t *)out + thimble_row(&p->out, y);
    const int32_t row = y - p->pad_top;
    if (row < 0 || row >= p->in.height) {
      (void)thimble_fill_bytes(to, p->out.row, p->value, p->item);
      continue;
    }
    const uint8_t *from = (const uint8_t *)in + thimble_row(&p->in, row);
    to = thimble_fill_bytes(to, p->before[0], p->value, p->item);
    for (int32_t i = 0; i < p->pieces; i++) {
      to = thimble_fill_bytes(to, p->before[1], p->value, p->item);
      memcpy(to, from, (size_t)p->run);
      from += p->run;
      to = thimble_fill_bytes(to + p->run, p->after[1], p->value, p->item);
    }
    (void)thimble_fill_bytes(to, p->after[0], p->value, p->item);
  }
}

#endif
