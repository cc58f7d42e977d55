/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on pairs of floats. See `pairs.h` for order and sharing. */
#ifndef THIMBLE_PAIRWISE_F32_H
#define THIMBLE_PAIRWISE_F32_H

#include <math.h>

#include "pairs.h"

/* A fused activation clamps; its upper bound may be infinite. */
typedef struct {
  thimble_pairs over;
  int32_t clamps;
  float low, high;
} thimble_pairwise_f32_params;

THIMBLE_INLINE float thimble_activated(float x, const THIMBLE_FLASH thimble_pairwise_f32_params *p) {
  return !p->clamps ? x : x < p->low ? p->low : x > p->high ? p->high : x;
}

#define THIMBLE_PAIRWISE_F32(name, result) \
  THIMBLE_PAIRWISE(name, pairwise_f32, float, float, float, thimble_activated(result, p))

THIMBLE_PAIRWISE_F32(add_f32, a + b)
THIMBLE_PAIRWISE_F32(sub_f32, a - b)
THIMBLE_PAIRWISE_F32(mul_f32, a * b)
THIMBLE_PAIRWISE_F32(div_f32, a / b)

/* Remainder with the divisor's sign. */
THIMBLE_INLINE float thimble_floor_mod(float a, float b) {
  const float rest = fmodf(a, b);
  return rest != 0.0f && (b < 0.0f) != (rest < 0.0f) ? rest + b : rest;
}

THIMBLE_PAIRWISE(squared_difference_f32, pairwise, float, float, float, (a - b) * (a - b))
THIMBLE_PAIRWISE(prelu_f32, pairwise, float, float, float, a >= 0.0f ? a : a * b)
THIMBLE_PAIRWISE(floor_mod_f32, pairwise, float, float, float, thimble_floor_mod(a, b))
/* In double, as a float quotient may round up to the next whole number. */
THIMBLE_PAIRWISE(floor_div_f32, pairwise, float, float, float, floor((double)a / (double)b))

#endif
