/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on pairs of plain numbers and truth values. See `pairs.h` for order and sharing. */
#ifndef THIMBLE_PAIRWISE_PLAIN_H
#define THIMBLE_PAIRWISE_PLAIN_H

#include "pairs.h"
#include "scale.h"

#define THIMBLE_EXTREMES(suffix, type)                                                     \
  THIMBLE_PAIRWISE(maximum_##suffix, pairwise, type, type, type, a > b ? a : b)            \
  THIMBLE_PAIRWISE(minimum_##suffix, pairwise, type, type, type, a < b ? a : b)

THIMBLE_EXTREMES(s8, int8_t)
THIMBLE_EXTREMES(s16, int16_t)
THIMBLE_EXTREMES(s32, int32_t)
THIMBLE_EXTREMES(s64, int64_t)
THIMBLE_EXTREMES(f32, float)

THIMBLE_PAIRWISE(logical_and, pairwise, uint8_t, uint8_t, uint8_t, a != 0 && b != 0)
THIMBLE_PAIRWISE(logical_or, pairwise, uint8_t, uint8_t, uint8_t, a != 0 || b != 0)

/* int32 wraps around, then a fused activation clamps. */
typedef struct {
  thimble_pairs over;
  int32_t low, high;
} thimble_pairwise_s32_params;

/* Towards zero; what C leaves open is 0 where the divisor is, and the negative of the least number itself. */
THIMBLE_INLINE int32_t thimble_quotient(int32_t a, int32_t b) {
  return b == 0 ? 0 : b == -1 ? thimble_minus(0, a) : a / b;
}

/* The same rounded down. */
THIMBLE_INLINE int32_t thimble_floor_quotient(int32_t a, int32_t b) {
  const int32_t quotient = thimble_quotient(a, b);
  return b != 0 && b != -1 && a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

THIMBLE_INLINE int32_t thimble_square(int32_t x) { return thimble_times(x, x); }

#define THIMBLE_PAIRWISE_S32(name, result) \
  THIMBLE_PAIRWISE(name, pairwise_s32, int32_t, int32_t, int32_t, thimble_clamp(result, p->low, p->high))

THIMBLE_PAIRWISE_S32(add_s32, thimble_plus(a, b))
THIMBLE_PAIRWISE_S32(sub_s32, thimble_minus(a, b))
THIMBLE_PAIRWISE_S32(mul_s32, thimble_times(a, b))
THIMBLE_PAIRWISE_S32(div_s32, thimble_quotient(a, b))
THIMBLE_PAIRWISE_S32(floor_div_s32, thimble_floor_quotient(a, b))
THIMBLE_PAIRWISE_S32(squared_difference_s32, thimble_square(thimble_minus(a, b)))

#endif
