/* SPDX-License-Identifier: Apache-2.0 */
/* TFLM's fixed-point arithmetic, bit for bit.
 * Source: MultiplyByQuantizedMultiplier (double rounding), tensorflow/lite/kernels/internal/common.cc, and
 * gemmlowp, fixedpoint/fixedpoint.h. */
#ifndef THIMBLE_FIXED_POINT_H
#define THIMBLE_FIXED_POINT_H

#include "base.h"

/* a * b / 2^31, rounded half up; saturates for the one product that does not fit. */
THIMBLE_INLINE int32_t thimble_high_multiply(int32_t a, int32_t b) {
  if (a == INT32_MIN && b == INT32_MIN) {
    return INT32_MAX;
  }
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^n for n in [0, 31], rounded to nearest, ties away from zero. */
THIMBLE_INLINE int32_t thimble_shift_right(int32_t x, int32_t n) {
  if (n == 0) {
    return x;
  }
  const int32_t mask = (int32_t)(((uint32_t)1 << n) - 1u);
  return (x >> n) + ((x & mask) > (mask >> 1) + (x < 0 ? 1 : 0) ? 1 : 0);
}

/* x * 2^n with what int32 keeps of it. */
THIMBLE_INLINE int32_t thimble_shift_left(int32_t x, int32_t n) { return (int32_t)((uint32_t)x << n); }

/* x * multiplier / 2^31 * 2^shift; shift in [-31, 30]. */
THIMBLE_INLINE int32_t thimble_rescale(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  return thimble_shift_right(thimble_high_multiply(thimble_shift_left(x, left), multiplier), right);
}

/* The same for int64 sums below 2^47, of which 15 bits of the multiplier count. */
THIMBLE_INLINE int32_t thimble_rescale_wide(int64_t x, int32_t multiplier, int32_t shift) {
  const int32_t reduced = multiplier < 0x7FFF0000 ? (multiplier + (1 << 15)) >> 16 : 0x7FFF;
  const int32_t total = 15 - shift;
  return (int32_t)((x * reduced + ((int64_t)1 << (total - 1))) >> total);
}

#endif
