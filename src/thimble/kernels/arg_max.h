/* SPDX-License-Identifier: Apache-2.0 */
/* ARG_MAX and ARG_MIN: the first index of the largest or smallest element along one axis of [outer, count, inner].
 * The output is written in order; no overlap. */
#ifndef THIMBLE_ARG_MAX_H
#define THIMBLE_ARG_MAX_H

#include "move.h"

typedef struct {
  int32_t outer, count, inner;
  int32_t flip;  /* bytes: XORed with this, the wanted one is the largest without sign */
  int32_t least; /* floats: whether the smallest is wanted */
  int32_t words; /* of an index: 1, or 2 for int64, of which the first is the low one */
} thimble_arg_max_params;

THIMBLE_KERNEL void thimble_arg_max_8(const THIMBLE_FLASH thimble_arg_max_params *p, const uint8_t *in,
                                      thimble_word32 *out) {
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t i = 0; i < p->inner; i++) {
      const uint8_t *x = in + (o * p->count * p->inner + i);
      int32_t found = 0, best = *x ^ p->flip;
      for (int32_t k = 1; k < p->count; k++) {
        const int32_t value = x[k * p->inner] ^ p->flip;
        if (value > best) {
          best = value;
          found = k;
        }
      }
      out[p->words - 1] = 0;
      *out = (uint32_t)found;
      out += p->words;
    }
  }
}

/* Not-a-number is found only where it comes first. */
THIMBLE_KERNEL void thimble_arg_max_f32(const THIMBLE_FLASH thimble_arg_max_params *p, const float *in,
                                        thimble_word32 *out) {
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t i = 0; i < p->inner; i++) {
      const float *x = in + (o * p->count * p->inner + i);
      int32_t found = 0;
      float best = *x;
      for (int32_t k = 1; k < p->count; k++) {
        const float value = x[k * p->inner];
        if (p->least ? value < best : value > best) {
          best = value;
          found = k;
        }
      }
      out[p->words - 1] = 0;
      *out = (uint32_t)found;
      out += p->words;
    }
  }
}

#endif
