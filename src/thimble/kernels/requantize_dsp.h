/* SPDX-License-Identifier: Apache-2.0 */
/* TFLM's requantization in three to five instructions, bit for bit.
 *
 * TFLM computes v = floor(a * m / 2^31 + 1/2), then v / 2^n to nearest, ties away from zero:
 * floor((v + 2^(n-1) - (v < 0)) / 2^n). The sign of a may stand for that of v, as they differ only where v is 0, and 0
 * and -1 both end as 0. Where the lower clamp is at or above the zero point (RELU), the sign does not matter.
 *
 * Packed sums are A = 256 a. Nested floors are one, so with y = floor(A * m / 2^32), one SMMLA, the result is
 * floor((y + 2^6 + 2^(6+n) - 128 (a < 0)) / 2^(7+n)). That also serves n <= 0, a multiplication by 2^-n, with 2^(6+n)
 * for the constant and no correction for negative sums.
 * Doubled sums are A = 2 a, with n >= 1. Then v is the high half of A * m, rounded, one SMMLAR, and the result is
 * (v + 2^(n-1) - (a < 0)) >> n.
 * The zero point is in the constant. Source: see fixed_point.h. */
#ifndef THIMBLE_REQUANTIZE_DSP_H
#define THIMBLE_REQUANTIZE_DSP_H

#include "dsp.h"

/* Per channel there are a bias (with what the input's zero point contributes, in the sums' unit) and a scale:
 * multiplier, constant, and a word whose low byte is the shift to the right, the rest what negative sums add. */
typedef struct {
  int32_t low, high;
  int32_t positive; /* 1 where results below the zero point are clamped anyway */
  int32_t packed;   /* sums are 256 times what TFLM's are; else twice */
} thimble_output;

#define THIMBLE_SCALE_WORDS 3

/* One sum to a result that is not clamped yet. */
THIMBLE_INLINE int32_t thimble_scaled_sum(const THIMBLE_FLASH thimble_output *p, int32_t sum, int32_t multiplier,
                                          int32_t constant, int32_t last) {
  const uint32_t correction = p->positive ? 0u : (uint32_t)((last & (sum >> 31)) >> 8);
  const int32_t addend = (int32_t)((uint32_t)constant + correction);
  const int32_t scaled = p->packed ? thimble_high_mla_floor(sum, multiplier, addend)
                                   : thimble_high_mla(sum, multiplier, addend);
  return scaled >> (last & 0xFF);
}

THIMBLE_INLINE int32_t thimble_saturate(const THIMBLE_FLASH thimble_output *p, int32_t x) {
  return p->low == -128 && p->high == 127 ? thimble_ssat8(x) : thimble_clamp(x, p->low, p->high);
}

/* One sum to an output. */
THIMBLE_INLINE int8_t thimble_requantize(const THIMBLE_FLASH thimble_output *p, int32_t sum,
                                         const THIMBLE_FLASH int32_t *scale) {
  return (int8_t)thimble_saturate(p, thimble_scaled_sum(p, sum, scale[0], scale[1], scale[2]));
}

/* In assembly: the accumulator %0 by multiplier r9, constant r10 and last word r11 of a scale; r12 is free. */
#define THIMBLE_ASM_SCALE "ldmia.w r0!, {r9, r10, r11}\n\t"
#define THIMBLE_ASM_TIE(a) "and r12, r11, " a ", asr #31\n\tadd r12, r10, r12, asr #8\n\t"
#define THIMBLE_ASM_SHIFT(a) "asr.w " a ", " a ", r11\n\tssat " a ", #8, " a "\n\t"
#define THIMBLE_ASM_POSITIVE(a) "smmla " a ", " a ", r9, r10\n\t" THIMBLE_ASM_SHIFT(a)
#define THIMBLE_ASM_PACKED(a) THIMBLE_ASM_TIE(a) "smmla " a ", " a ", r9, r12\n\t" THIMBLE_ASM_SHIFT(a)
#define THIMBLE_ASM_DOUBLED(a) THIMBLE_ASM_TIE(a) "smmlar " a ", " a ", r9, r12\n\t" THIMBLE_ASM_SHIFT(a)

/* Two results to the range [r9, r10], each given in both halves of its word; r12 is free. */
#define THIMBLE_ASM_CLAMP(a, b)                                                                  \
  "pkhbt " a ", " a ", " b ", lsl #16\n\tssub16 r12, " a ", r9\n\tsel " a ", " a ", r9\n\t"      \
  "ssub16 r12, r10, " a "\n\tsel " a ", " a ", r10\n\tasr.w " b ", " a ", #16\n\t"

#endif
