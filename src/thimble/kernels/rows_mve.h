/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a matrix times a vector with Helium, four at a time, and arithmetic on four sums; see mve.h. */
#ifndef THIMBLE_ROWS_MVE_H
#define THIMBLE_ROWS_MVE_H

#include "mve.h"

#if defined(THIMBLE_MVE)

/* Four rows that are `step` bytes apart times `n` elements of a vector, plus biases. A function of its own, as it needs
 * nearly all registers. */
__attribute__((THIMBLE_OPAQUE, unused)) static int32x4_t thimble_rows_mve(const int8_t *x, const int8_t *w,
                                                                           int32_t step, int32_t n,
                                                                           const int32_t *bias) {
  int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3];
  const int8_t *w1 = w + step, *w2 = w1 + step, *w3 = w2 + step;
  __asm__ volatile(
      "wlstp.8 lr, %[n], 2f\n"
      "1:\n\t"
      "vldrb.8 q0, [%[x]], #16\n\t"
      "vldrb.8 q1, [%[w]], #16\n\tvmladava.s8 %[a], q0, q1\n\t"
      "vldrb.8 q2, [%[w1]], #16\n\tvmladava.s8 %[b], q0, q2\n\t"
      "vldrb.8 q3, [%[w2]], #16\n\tvmladava.s8 %[c], q0, q3\n\t"
      "vldrb.8 q1, [%[w3]], #16\n\tvmladava.s8 %[d], q0, q1\n\t"
      "letp lr, 1b\n"
      "2:"
      : [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [d] "+Te"(d), [x] "+r"(x), [w] "+r"(w), [w1] "+r"(w1),
        [w2] "+r"(w2), [w3] "+r"(w3)
      : [n] "r"(n)
      : "q0", "q1", "q2", "q3", "lr", "memory", "cc");
  return vsetq_lane_s32(d, vsetq_lane_s32(c, vsetq_lane_s32(b, vdupq_n_s32(a), 1), 2), 3);
}

/* thimble_rescale of four numbers. */
THIMBLE_INLINE int32x4_t thimble_rescale_mve(int32x4_t v, int32_t multiplier, int32_t shift) {
  if (shift > 0) {
    v = vshlq_r_s32(v, shift);
  }
  v = vqrdmulhq_n_s32(v, multiplier);
  return shift < 0 ? vrshlq_n_s32(vaddq_s32(v, vshrq_n_s32(v, 31)), shift) : v;
}

/* Four numbers clamped to int16. */
THIMBLE_INLINE int32x4_t thimble_s16_mve(int32x4_t v) { return vmovlbq_s16(vqmovnbq_s32(vdupq_n_s16(0), v)); }

#endif

#endif
