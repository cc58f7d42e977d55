/* SPDX-License-Identifier: Apache-2.0 */
/* Reciprocals in fixed point as TFLM computes them, bit for bit. "Qi" is a number with i integer bits: an int32 that
 * stands for itself times 2^(i - 31).
 * Source: gemmlowp, fixedpoint/fixedpoint.h; GetReciprocal and GetInvSqrtQuantizedMultiplierExp,
 * tensorflow/lite/kernels/internal/common.h and common.cc. */
#ifndef THIMBLE_RECIPROCAL_H
#define THIMBLE_RECIPROCAL_H

#include "fixed_point.h"

/* Zero bits before the first one; 32 for 0. */
THIMBLE_INLINE int32_t thimble_leading_zeros(uint32_t x) {
#if defined(__GNUC__) && !defined(__AVR__)
  return x == 0 ? 32 : (int32_t)__builtin_clz(x);
#else
  int32_t n = 32;
  while (x != 0) {
    x >>= 1;
    n--;
  }
  return n;
#endif
}

/* x * y of two numbers of Q0, rounded half up, where not both are -1. */
THIMBLE_INLINE int32_t thimble_product(int32_t x, int32_t y) {
  return (int32_t)(((int64_t)x * y + ((int64_t)1 << 30)) >> 31);
}

/* x * 2^n for n in [0, 30], saturating. */
THIMBLE_INLINE int32_t thimble_saturating_left(int32_t x, int32_t n) {
  const int32_t most = INT32_MAX >> n;
  return x > most ? INT32_MAX : x < -most - 1 ? INT32_MIN : thimble_shift_left(x, n);
}

/* 1 / (1 + x) in Q0, for x of Q0 that is not negative, by three steps of Newton and Raphson. No step overflows: the
 * first guess is within 1/17 of the result. */
static inline int32_t thimble_one_over_one_plus(int32_t x) {
  const int32_t half = (int32_t)(((uint32_t)x + 0x80000000u) >> 1); /* of the denominator */
  int32_t y = 1515870810 + thimble_product(half, -1010580540); /* 48/17 - 32/17 * half, Q2 */
  for (int_fast8_t i = 0; i < 3; i++) {
    const int32_t rest = ((int32_t)1 << 29) - thimble_product(half, y);
    y += thimble_shift_left(thimble_product(y, rest), 2);
  }
  return thimble_saturating_left(y, 1);
}

/* 1 / x for x > 0 as a number of Q0 that is still to be shifted down by (i - *zeros), if x is of Qi. */
THIMBLE_INLINE int32_t thimble_reciprocal(uint32_t x, int32_t *zeros) {
  *zeros = thimble_leading_zeros(x);
  return thimble_one_over_one_plus((int32_t)((x << *zeros) & 0x7FFFFFFFu));
}

/* 1 / sqrt(x) of an integer as multiplier and shift of thimble_rescale; x up to 1 counts as 1. */
static inline int32_t thimble_inverse_sqrt(int32_t x, int32_t *shift) {
  if (x <= 1) {
    *shift = 0;
    return INT32_MAX;
  }
  const int32_t quarters = x >= (int32_t)1 << 29 ? 1 : 0;
  const int32_t value = quarters != 0 ? x / 4 : x;
  const int32_t pairs = (thimble_leading_zeros((uint32_t)value) - 1) / 2 - 1;
  const int32_t half = thimble_shift_right(thimble_shift_left(value, 2 * pairs) >> 1, 1);
  int32_t y = (int32_t)1 << 28;
  for (int_fast8_t i = 0; i < 5; i++) {
    const int32_t cube = thimble_saturating_left(thimble_product(thimble_product(y, y), y), 6);
    const int32_t step = thimble_product(y, 402653184) - thimble_product(half, cube); /* 1.5, Q3 */
    y = thimble_saturating_left(step, 3);
  }
  y = thimble_product(y, 1518500250); /* sqrt(1/2) */
  const int32_t right = 11 + quarters - pairs;
  *shift = right > 0 ? -right : 0;
  return right < 0 ? thimble_shift_left(y, -right) : y;
}

#endif
