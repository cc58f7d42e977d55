/* SPDX-License-Identifier: Apache-2.0 */
/* ADD and SUB of int8 as one linear form in int32, where it is proven to give TFLM's bits for all 65,536 pairs of
 * operands: floor((t + C) / 2^shift) with t = a * A + b * B + centre, and another C for negative t where ties are many,
 * since TFLM takes them away from zero. See `pairs.h` for order and sharing. */
#ifndef THIMBLE_SUM_S8_H
#define THIMBLE_SUM_S8_H

#include "pairs.h"
#include "saturate.h"

typedef struct {
  thimble_pairs over;
  int32_t left, right, centre; /* A, B; without another constant for negative sums the centre holds C too */
  int32_t round, lean;         /* C, and what it is more if t is negative */
  int32_t shift, low, high;
} thimble_linear_s8_params;

THIMBLE_INLINE int32_t thimble_linear_s8_of(int32_t a, int32_t b, const THIMBLE_FLASH thimble_linear_s8_params *p) {
  const int32_t t = a * p->left + p->centre + b * p->right;
  return thimble_saturated((t + ((t >> 31) & p->lean) + p->round) >> p->shift, p->low, p->high);
}

THIMBLE_PAIRWISE(linear_s8, linear_s8, int8_t, int8_t, int8_t, thimble_linear_s8_of(a, b, p))

#endif
