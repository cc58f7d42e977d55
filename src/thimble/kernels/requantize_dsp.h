/* SPDX-License-Identifier: Apache-2.0 */
/* TFLM's requantization of a doubled sum in three or four instructions, bit for bit.
 *
 * TFLM computes r = floor(a * m / 2^31 + 1/2), then r / 2^n to nearest, ties away from zero (n >= 1). The first step is
 * the high half of 2a * m, rounded: one SMMLAR, which adds the constant of the second step as well:
 * (r + 2^(n-1) - (r < 0)) >> n. Where a is not doubled, the high half of a * (2m - 2^32) plus a is the same. The sign of a may stand for that of r, as they differ only where r is 0, and 0 and -1
 * both end as 0. The zero point is added as zero << n before the shift. Where the lower clamp is at or above the zero
 * point (RELU), the sign does not matter. Source: see fixed_point.h. */
#ifndef THIMBLE_REQUANTIZE_DSP_H
#define THIMBLE_REQUANTIZE_DSP_H

#include "dsp.h"

/* Per channel there are a bias (with what the input's zero point contributes; doubled where sums are), a multiplier (m,
 * or 2 m - 2^32), an offset (2^(shift - 1) + (zero << shift)) and a shift to the right. */
typedef struct {
  int32_t low, high;
  int32_t positive; /* 1 where results below the zero point are clamped anyway */
  int32_t doubled;  /* 1 where sums are twice what TFLM's are; else the multiplier is 2 m - 2^32, and the sum is added */
} thimble_output;

/* What is added to the product: the offset, the sum where it is not doubled, and less one where it is negative. */
THIMBLE_INLINE int32_t thimble_constant(const THIMBLE_FLASH thimble_output *p, int32_t sum, int32_t offset) {
  const uint32_t constant = (uint32_t)offset + (p->doubled ? 0u : (uint32_t)sum);
  return (int32_t)(p->positive ? constant : constant + (uint32_t)(sum >> 31));
}

THIMBLE_INLINE int32_t thimble_saturate(const THIMBLE_FLASH thimble_output *p, int32_t x) {
  return p->low == -128 && p->high == 127 ? thimble_ssat8(x) : thimble_clamp(x, p->low, p->high);
}

/* One sum; `scale` is multiplier, offset and shift of its channel. */
THIMBLE_INLINE int8_t thimble_requantize(const THIMBLE_FLASH thimble_output *p, int32_t sum,
                                         const THIMBLE_FLASH int32_t *scale) {
  const int32_t scaled = thimble_high_mla(sum, scale[0], thimble_constant(p, sum, scale[1])) >> scale[2];
  return (int8_t)thimble_saturate(p, scaled);
}

/* Two sums of one channel. Both are ready before one is stored, as a store may be to anything for all the compiler
 * knows, and it would read the scale again. */
THIMBLE_INLINE void thimble_requantize_pair(const THIMBLE_FLASH thimble_output *p, int32_t a, int32_t b,
                                            const THIMBLE_FLASH int32_t *scale, int8_t *first, int8_t *second) {
  const int32_t multiplier = scale[0], offset = scale[1], shift = scale[2];
  const int32_t x = thimble_saturate(p, thimble_high_mla(a, multiplier, thimble_constant(p, a, offset)) >> shift);
  const int32_t y = thimble_saturate(p, thimble_high_mla(b, multiplier, thimble_constant(p, b, offset)) >> shift);
  *first = (int8_t)x;
  *second = (int8_t)y;
}

#endif
