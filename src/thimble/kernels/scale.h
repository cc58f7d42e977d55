/* SPDX-License-Identifier: Apache-2.0 */
/* TFLM's multiplication by a real number, prepared so that one 64-bit product, one sum and one shift give its bits.
 *
 * TFLM rounds twice: v = floor((x * multiplier + 2^30) / 2^31), then v / 2^n to nearest, ties away from zero, which is
 * floor((v + 2^(n - 1) - (v < 0)) / 2^n). Nested floors are one: floor((x * multiplier + round + tie) / 2^(31 + n)) with
 * round = 2^30 + 2^(30 + n), and tie = -2^31 where x < 0 (where v is 0 nevertheless it changes nothing). Numerator and
 * denominator may be twice that, and what is to be added to the quotient can be in the numerator.
 * Source: MultiplyByQuantizedMultiplier (double rounding), tensorflow/lite/kernels/internal/common.cc. */
#ifndef THIMBLE_SCALE_H
#define THIMBLE_SCALE_H

#include "fixed_point.h"
#include "saturate.h"

typedef struct {
  int64_t round;
  int64_t tie; /* added to negative products */
  int32_t multiplier;
  int32_t left;  /* bits by which x is shifted first; they fall off as in int32 */
  int32_t shift;
} thimble_scale;

THIMBLE_INLINE int32_t thimble_scaled(int32_t x, const THIMBLE_FLASH thimble_scale *s) {
  const int32_t shifted = thimble_shift_left(x, s->left);
  const int64_t tie = (int64_t)(shifted >> 31) & s->tie;
  return (int32_t)(((int64_t)shifted * s->multiplier + s->round + tie) >> s->shift);
}

/* An operand's share of a result: (x - zero) * 2^bits, scaled unless `whole`. */
typedef struct {
  thimble_scale scale;
  int32_t zero, bits, whole;
} thimble_operand;

THIMBLE_INLINE int32_t thimble_share(int32_t x, const THIMBLE_FLASH thimble_operand *operand) {
  const int32_t shifted = thimble_shift_left((int32_t)((uint32_t)x - (uint32_t)operand->zero), operand->bits);
  return operand->whole ? shifted : thimble_scaled(shifted, &operand->scale);
}

/* How a result is stored: scaled, clamped, and moved by its zero point, which the bounds do not include; the zero point
 * may be in the scale instead. */
typedef struct {
  thimble_scale scale;
  int32_t zero, low, high;
} thimble_result;

THIMBLE_INLINE int32_t thimble_clamped(int32_t scaled, const THIMBLE_FLASH thimble_result *result) {
  return thimble_saturated(scaled, result->low, result->high) + result->zero;
}

THIMBLE_INLINE int32_t thimble_stored(int32_t x, const THIMBLE_FLASH thimble_result *result) {
  return thimble_clamped(thimble_scaled(x, &result->scale), result);
}

/* Sums, differences and products of int32 with what int32 keeps of them. */
THIMBLE_INLINE int32_t thimble_plus(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
THIMBLE_INLINE int32_t thimble_minus(int32_t a, int32_t b) { return (int32_t)((uint32_t)a - (uint32_t)b); }
THIMBLE_INLINE int32_t thimble_times(int32_t a, int32_t b) { return (int32_t)((uint32_t)a * (uint32_t)b); }

#endif
