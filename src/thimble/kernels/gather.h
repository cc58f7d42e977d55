/* SPDX-License-Identifier: Apache-2.0 */
/* GATHER, GATHER_ND and EMBEDDING_LOOKUP: runs of a table at positions that are only known at run time.
 * The output is written from the first byte to the last; no overlap. A position outside the table counts as the nearest
 * one inside, so that nothing outside is ever read. */
#ifndef THIMBLE_GATHER_H
#define THIMBLE_GATHER_H

#include "move.h"

#define THIMBLE_GATHER_DEPTH 6

/* For each of `sets` there are `outer` blocks of the table and `count` positions, used for each of the blocks. */
typedef struct {
  int32_t sets, outer, count;
  int32_t block; /* bytes */
  int32_t depth; /* numbers of a position */
  int32_t last[THIMBLE_GATHER_DEPTH], stride[THIMBLE_GATHER_DEPTH]; /* their largest values and, in bytes, distances */
  int32_t run, item; /* bytes at one position, and of one element */
} thimble_gather_params;

/* Where a position is in its block. */
THIMBLE_INLINE int32_t thimble_gather_at(const THIMBLE_FLASH thimble_gather_params *p, const int32_t *position) {
  int32_t at = 0;
  for (int32_t d = 0; d < p->depth; d++) {
    at += thimble_clamp(position[d], 0, p->last[d]) * p->stride[d];
  }
  return at;
}

THIMBLE_KERNEL void thimble_gather(const THIMBLE_FLASH thimble_gather_params *p, const int32_t *positions,
                                   const void *table, void *out) {
  const uint8_t *block = (const uint8_t *)table;
  uint8_t *to = (uint8_t *)out;
  for (int32_t s = 0; s < p->sets; s++) {
    for (int32_t o = 0; o < p->outer; o++) {
      for (int32_t c = 0; c < p->count; c++) {
        const int32_t *position = positions + (s * p->count + c) * p->depth;
        thimble_move(block + thimble_gather_at(p, position), to, p->run, p->item);
        to += p->run;
      }
      block += p->block;
    }
  }
}

#endif
