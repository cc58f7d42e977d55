/* SPDX-License-Identifier: Apache-2.0 */
/* SVDF on int8 with Helium, see svdf.h: filters in fours over the input, the state moved on and weighed in one pass;
 * plain C with the same results elsewhere. The zero points of input and state are in the biases. */
#ifndef THIMBLE_SVDF_S8_MVE_H
#define THIMBLE_SVDF_S8_MVE_H

#include "rows_mve.h"
#include "svdf.h"

#if defined(THIMBLE_MVE)

/* What the four filters from here on make of the input, as it is kept. */
THIMBLE_INLINE void thimble_svdf_newest_mve(const thimble_svdf_params *p, const int8_t *in, const int8_t *feature,
                                            const int32_t *bias, int32_t newest[4]) {
  const int32_t depth = p->shape.depth, low = p->wide ? INT16_MIN : INT8_MIN, high = p->wide ? INT16_MAX : INT8_MAX;
  int32x4_t v = thimble_rescale_mve(thimble_rows_mve(in, feature, depth, depth, bias), p->in_multiplier, p->in_shift);
  v = vminq_s32(vmaxq_s32(v, vdupq_n_s32(low)), vdupq_n_s32(high));
  vstrwq_s32(newest, vaddq_n_s32(v, p->state_zero));
}

/* Move `count` elements one to the front and weigh them; `one` is the letter of their size. */
#define THIMBLE_SVDF_ROLL_MVE(one, bits)                                                                          \
  __asm__ volatile(                                                                                               \
      "wlstp." bits " lr, %[n], 2f\n"                                                                             \
      "1:\n\tvldr" one "." bits " q0, [%[from]], #16\n\tvldr" one "." bits " q1, [%[time]], #16\n\t"              \
      "vstr" one "." bits " q0, [%[to]], #16\n\tvmladava.s" bits " %[sum], q0, q1\n\tletp lr, 1b\n2:"            \
      : [sum] "+Te"(sum), [from] "+r"(from), [to] "+r"(to), [time] "+r"(time)                                     \
      : [n] "r"(count)                                                                                            \
      : "q0", "q1", "lr", "memory", "cc")

THIMBLE_INLINE int32_t thimble_svdf_moved8(int8_t *to, const int8_t *time, int32_t count, int32_t sum) {
  const int8_t *from = to + 1;
  THIMBLE_SVDF_ROLL_MVE("b", "8");
  return sum;
}

THIMBLE_INLINE int32_t thimble_svdf_moved16(int16_t *to, const int16_t *time, int32_t count, int32_t sum) {
  const int16_t *from = to + 1;
  THIMBLE_SVDF_ROLL_MVE("h", "16");
  return sum;
}

#else

THIMBLE_INLINE void thimble_svdf_newest_mve(const THIMBLE_FLASH thimble_svdf_params *p, const int8_t *in,
                                            const THIMBLE_FLASH int8_t *feature, const THIMBLE_FLASH int32_t *bias,
                                            int32_t newest[4]) {
  for (int32_t i = 0; i < 4; i++) {
    const int32_t sum = thimble_dot_one(in, feature + i * p->shape.depth, p->shape.depth);
    const int32_t biased = (int32_t)((uint32_t)sum + (uint32_t)bias[i]);
    newest[i] = thimble_svdf_kept(p, thimble_rescale(biased, p->in_multiplier, p->in_shift));
  }
}

THIMBLE_INLINE int32_t thimble_svdf_moved8(int8_t *to, const int8_t *time, int32_t count, int32_t sum) {
  for (int32_t t = 0; t < count; t++) {
    to[t] = to[t + 1];
    sum = thimble_low_mac((uint32_t)to[t], (uint32_t)time[t], sum);
  }
  return sum;
}

THIMBLE_INLINE int32_t thimble_svdf_moved16(int16_t *to, const int16_t *time, int32_t count, int32_t sum) {
  for (int32_t t = 0; t < count; t++) {
    to[t] = to[t + 1];
    sum = thimble_low_mac((uint32_t)to[t], (uint32_t)time[t], sum);
  }
  return sum;
}

#endif

/* Keep a number, and weigh all that are kept: those of filter `f`, which begin at element `at` of the state. */
THIMBLE_INLINE int32_t thimble_svdf_roll_mve(const THIMBLE_FLASH thimble_svdf_params *p, void *state, int32_t at,
                                             const THIMBLE_FLASH void *time, int32_t f, int32_t newest, int32_t sum) {
  const int32_t last = p->shape.steps - 1, first = f * p->shape.steps;
  if (p->wide) {
    int16_t *kept = (int16_t *)state + at;
    const int16_t *weights = (const int16_t *)time + first;
    sum = thimble_svdf_moved16(kept, weights, last, sum);
    kept[last] = (int16_t)newest;
    return (int32_t)((uint32_t)sum + (uint32_t)(kept[last] * weights[last]));
  }
  int8_t *kept = (int8_t *)state + at;
  const int8_t *weights = (const int8_t *)time + first;
  sum = thimble_svdf_moved8(kept, weights, last, sum);
  kept[last] = (int8_t)newest;
  return (int32_t)((uint32_t)sum + (uint32_t)(kept[last] * weights[last]));
}

/* `feature` and its biases are filled up to a multiple of four filters. */
THIMBLE_KERNEL void thimble_svdf_s8_mve(const THIMBLE_FLASH thimble_svdf_params *p, const int8_t *in,
                                        const void *before, const THIMBLE_FLASH int8_t *feature,
                                        const THIMBLE_FLASH int32_t *feature_bias, const THIMBLE_FLASH void *time,
                                        const THIMBLE_FLASH int32_t *bias, int8_t *out, void *state) {
  const THIMBLE_FLASH thimble_svdf_shape *s = &p->shape;
  int32_t newest[4], at = 0;
  (void)before;
  for (int32_t batch = 0; batch < s->batches; batch++) {
    int32_t sum = bias[0], unit = 0, taken = 0;
    for (int32_t f = 0; f < s->units * s->rank; f++, at += s->steps) {
      if (f % 4 == 0) {
        thimble_svdf_newest_mve(p, in + batch * s->depth, feature + f * s->depth, feature_bias + f, newest);
      }
      sum = thimble_svdf_roll_mve(p, state, at, time, f, newest[f % 4], sum);
      if (++taken == s->rank) {
        *out++ = thimble_svdf_result(p, sum);
        unit++;
        taken = 0;
        sum = unit < s->units ? bias[unit] : 0;
      }
    }
  }
}

#endif
