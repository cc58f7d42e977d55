/* SPDX-License-Identifier: Apache-2.0 */
/* Helium (MVE) and plain C with the same results elsewhere: inner products of int8, copies, and requantization.
 * Source: Armv8-M Architecture Reference Manual (DDI 0553), C2.4: VMLADAVA, VQRDMULH, VRSHL, WLSTP, LETP. */
#ifndef THIMBLE_MVE_H
#define THIMBLE_MVE_H

#include "dsp.h"

#if defined(__ARM_FEATURE_MVE) && defined(__GNUC__)
#include <arm_mve.h>
#define THIMBLE_MVE 1
#endif

/* Per four channels: four multipliers in Q31, four shifts (negative: to the right, at least one bit). */
#define THIMBLE_SCALE_WORDS_MVE 8

typedef struct {
  int32_t zero, low, high;
  int32_t positive; /* 1 where results below the zero point are clamped anyway, so that rounding of negatives is free */
} thimble_output_mve;

typedef struct {
  int32_t a, b, c, d;
} thimble_four;

#if defined(THIMBLE_MVE)

/* A vector of `n` times up to four of `count` filters that are `step` bytes apart, plus their biases. */
THIMBLE_INLINE thimble_four thimble_dot_four(const int8_t *x, const int8_t *w, int32_t step, int32_t n, int32_t count,
                                             const THIMBLE_FLASH int32_t *bias) {
  const int8_t *w1 = w + (count > 1 ? step : 0), *w2 = w1 + (count > 2 ? step : 0), *w3 = w2 + (count > 3 ? step : 0);
  thimble_four sum = {bias[0], bias[1], bias[2], bias[3]};
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
      : [a] "+Te"(sum.a), [b] "+Te"(sum.b), [c] "+Te"(sum.c), [d] "+Te"(sum.d), [x] "+r"(x), [w] "+r"(w),
        [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3)
      : [n] "r"(n)
      : "q0", "q1", "q2", "q3", "lr", "memory", "cc");
  return sum;
}

THIMBLE_INLINE void thimble_copy_bytes(int8_t *out, const int8_t *in, int32_t count) {
  __asm__ volatile(
      "wlstp.8 lr, %[n], 2f\n"
      "1:\n\t"
      "vldrb.8 q0, [%[in]], #16\n\t"
      "vstrb.8 q0, [%[out]], #16\n\t"
      "letp lr, 1b\n"
      "2:"
      : [in] "+r"(in), [out] "+r"(out)
      : [n] "r"(count)
      : "q0", "lr", "memory", "cc");
}

THIMBLE_INLINE void thimble_fill_mve(int8_t *out, int32_t value, int32_t count) {
  __asm__ volatile(
      "vdup.8 q0, %[v]\n\t"
      "wlstp.8 lr, %[n], 2f\n"
      "1:\n\t"
      "vstrb.8 q0, [%[out]], #16\n\t"
      "letp lr, 1b\n"
      "2:"
      : [out] "+r"(out)
      : [n] "r"(count), [v] "r"(value)
      : "q0", "lr", "memory", "cc");
}

/* Up to four sums to `count` outputs. */
THIMBLE_INLINE void thimble_finish_four(const THIMBLE_FLASH thimble_output_mve *p, thimble_four sum,
                                        const THIMBLE_FLASH int32_t *scale, int8_t *out, int32_t count) {
  int32x4_t v = vdupq_n_s32(sum.a);
  v = vsetq_lane_s32(sum.b, v, 1);
  v = vsetq_lane_s32(sum.c, v, 2);
  v = vsetq_lane_s32(sum.d, v, 3);
  v = vqrdmulhq_s32(v, vldrwq_s32(scale));
  if (!p->positive) {
    v = vaddq_s32(v, vshrq_n_s32(v, 31));
  }
  v = vaddq_n_s32(vrshlq_s32(v, vldrwq_s32(scale + 4)), p->zero);
  v = vminq_s32(vmaxq_s32(v, vdupq_n_s32(p->low)), vdupq_n_s32(p->high));
  if (count >= 4) {
    vstrbq_s32(out, v);
  } else {
    vstrbq_p_s32(out, v, vctp32q((uint32_t)count));
  }
}

#else

#include "fixed_point.h"

THIMBLE_INLINE int32_t thimble_dot_one(const int8_t *x, const int8_t *w, int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i++) {
    sum += x[i] * w[i];
  }
  return sum;
}

THIMBLE_INLINE thimble_four thimble_dot_four(const int8_t *x, const int8_t *w, int32_t step, int32_t n, int32_t count,
                                             const THIMBLE_FLASH int32_t *bias) {
  int32_t sums[4] = {0, 0, 0, 0};
  for (int32_t i = 0; i < 4 && i < count; i++) {
    sums[i] = (int32_t)((uint32_t)bias[i] + (uint32_t)thimble_dot_one(x, w + i * step, n));
  }
  return (thimble_four){sums[0], sums[1], sums[2], sums[3]};
}

THIMBLE_INLINE void thimble_copy_bytes(int8_t *out, const int8_t *in, int32_t count) {
  memcpy(out, in, (size_t)count);
}

THIMBLE_INLINE void thimble_fill_mve(int8_t *out, int32_t value, int32_t count) {
  memset(out, value, (size_t)count);
}

/* One sum to an output; `scale` points at its multiplier. */
THIMBLE_INLINE int8_t thimble_finish_one(const THIMBLE_FLASH thimble_output_mve *p, int32_t sum,
                                         const THIMBLE_FLASH int32_t *scale) {
  return (int8_t)thimble_clamp(thimble_rescale(sum, scale[0], scale[4]) + p->zero, p->low, p->high);
}

THIMBLE_INLINE void thimble_finish_four(const THIMBLE_FLASH thimble_output_mve *p, thimble_four sum,
                                        const THIMBLE_FLASH int32_t *scale, int8_t *out, int32_t count) {
  const int32_t sums[4] = {sum.a, sum.b, sum.c, sum.d};
  for (int32_t i = 0; i < 4 && i < count; i++) {
    out[i] = thimble_finish_one(p, sums[i], scale + i);
  }
}

#endif

#endif
