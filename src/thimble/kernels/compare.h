/* SPDX-License-Identifier: Apache-2.0 */
/* Comparisons of pairs; greater is less with the operands swapped. See `pairs.h` for order and sharing. */
#ifndef THIMBLE_COMPARE_H
#define THIMBLE_COMPARE_H

#include "pairs.h"
#include "scale.h"

#define THIMBLE_COMPARISONS(suffix, type)                                              \
  THIMBLE_PAIRWISE(equal_##suffix, pairwise, type, type, uint8_t, a == b)              \
  THIMBLE_PAIRWISE(not_equal_##suffix, pairwise, type, type, uint8_t, a != b)          \
  THIMBLE_PAIRWISE(less_##suffix, pairwise, type, type, uint8_t, a < b)                \
  THIMBLE_PAIRWISE(less_equal_##suffix, pairwise, type, type, uint8_t, a <= b)

THIMBLE_COMPARISONS(u8, uint8_t)
THIMBLE_COMPARISONS(s8, int8_t)
THIMBLE_COMPARISONS(s32, int32_t)
THIMBLE_COMPARISONS(s64, int64_t)
THIMBLE_COMPARISONS(f32, float)

/* int8 operands of different scales are brought to one first. */
typedef struct {
  thimble_pairs over;
  thimble_operand a, b;
} thimble_compare_scaled_params;

#define THIMBLE_COMPARE_SCALED(name, operator) \
  THIMBLE_PAIRWISE(name, compare_scaled, int8_t, int8_t, uint8_t, \
                   thimble_share(a, &p->a) operator thimble_share(b, &p->b))

THIMBLE_COMPARE_SCALED(equal_scaled_s8, ==)
THIMBLE_COMPARE_SCALED(not_equal_scaled_s8, !=)
THIMBLE_COMPARE_SCALED(less_scaled_s8, <)
THIMBLE_COMPARE_SCALED(less_equal_scaled_s8, <=)

#endif
