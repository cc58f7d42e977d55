/* SPDX-License-Identifier: Apache-2.0 */
/* SELECT and SELECT_V2: from one of two operands, by a boolean; elements of any type.
 * The output is written in one piece, from the first byte to the last. It may be the very bytes of an operand that has
 * an element for each of its own, one behind the other; otherwise no overlap. */
#ifndef THIMBLE_SELECT_H
#define THIMBLE_SELECT_H

#include "move.h"

#define THIMBLE_SELECT_AXES 5

/* Distances of the condition and the two operands in bytes, 0 along axes that repeat. Unused axes come first. */
typedef struct {
  int32_t extent[THIMBLE_SELECT_AXES];
  int32_t condition[THIMBLE_SELECT_AXES], yes[THIMBLE_SELECT_AXES], no[THIMBLE_SELECT_AXES];
  int32_t run;  /* bytes in one piece that one condition decides on */
  int32_t item; /* bytes of an element */
} thimble_select_params;

/* The last two axes; the place behind what is written. */
THIMBLE_INLINE uint8_t *thimble_select_inner(const THIMBLE_FLASH thimble_select_params *p, const uint8_t *condition,
                                             const uint8_t *yes, const uint8_t *no, uint8_t *out) {
  for (int32_t i = 0; i < p->extent[3]; i++) {
    for (int32_t j = 0; j < p->extent[4]; j++) {
      const uint8_t *from = condition[i * p->condition[3] + j * p->condition[4]] != 0
                                ? yes + (i * p->yes[3] + j * p->yes[4])
                                : no + (i * p->no[3] + j * p->no[4]);
      if (from != out) {
        thimble_move(from, out, p->run, p->item);
      }
      out += p->run;
    }
  }
  return out;
}

THIMBLE_KERNEL void thimble_select(const THIMBLE_FLASH thimble_select_params *p, const void *condition,
                                   const void *yes, const void *no, void *out) {
  uint8_t *to = (uint8_t *)out;
  for (int32_t i = 0; i < p->extent[0]; i++) {
    for (int32_t j = 0; j < p->extent[1]; j++) {
      for (int32_t k = 0; k < p->extent[2]; k++) {
        to = thimble_select_inner(
            p, (const uint8_t *)condition + (i * p->condition[0] + j * p->condition[1] + k * p->condition[2]),
            (const uint8_t *)yes + (i * p->yes[0] + j * p->yes[1] + k * p->yes[2]),
            (const uint8_t *)no + (i * p->no[0] + j * p->no[1] + k * p->no[2]), to);
      }
    }
  }
}

#endif
