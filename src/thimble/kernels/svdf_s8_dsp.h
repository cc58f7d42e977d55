/* SPDX-License-Identifier: Apache-2.0 */
/* SVDF on int8 with packed arithmetic, see svdf.h: filters in fours over the input, the state moved on and weighed word
 * by word. The zero points of input and state are in the biases. */
#ifndef THIMBLE_SVDF_S8_DSP_H
#define THIMBLE_SVDF_S8_DSP_H

#include "sums_dsp.h"
#include "svdf.h"

typedef struct {
  thimble_svdf_params svdf;
  thimble_rows_dsp feature;
  int32_t scale[THIMBLE_SCALE_WORDS]; /* from sums over the input to what is kept */
} thimble_svdf_s8_dsp_params;

#define THIMBLE_SVDF_CHUNK 8 /* filters whose sums are kept, a multiple of four */

THIMBLE_INLINE int32_t thimble_svdf_word8(int8_t *state, const int8_t *time, uint32_t kept, int32_t sum) {
  const uint32_t weights = thimble_load(time);
  memcpy(state, &kept, sizeof kept);
  sum = thimble_dual_mac(thimble_even(kept), thimble_even(weights), sum);
  return thimble_dual_mac(thimble_odd(kept), thimble_odd(weights), sum);
}

/* Keep a number, of four or more, and weigh all that are kept. */
THIMBLE_INLINE int32_t thimble_svdf_roll8(int8_t *state, const int8_t *time, int32_t steps, int32_t newest,
                                          int32_t sum) {
  int32_t t = 0;
  for (; t < steps % 4; t++) {
    state[t] = state[t + 1];
    sum = thimble_low_mac((uint32_t)state[t], (uint32_t)time[t], sum);
  }
  for (; t < steps - 4; t += 4) {
    sum = thimble_svdf_word8(state + t, time + t, thimble_load(state + t + 1), sum);
  }
  return thimble_svdf_word8(state + t, time + t, thimble_load(state + t) >> 8 | (uint32_t)newest << 24, sum);
}

THIMBLE_INLINE int32_t thimble_svdf_word16(int16_t *state, const int16_t *time, uint32_t kept, int32_t sum) {
  memcpy(state, &kept, sizeof kept);
  return thimble_dual_mac(kept, thimble_load((const int8_t *)time), sum);
}

/* The same of two or more. */
THIMBLE_INLINE int32_t thimble_svdf_roll16(int16_t *state, const int16_t *time, int32_t steps, int32_t newest,
                                           int32_t sum) {
  int32_t t = 0;
  for (; t < steps % 2; t++) {
    state[t] = state[t + 1];
    sum = thimble_low_mac((uint32_t)state[t], (uint32_t)time[t], sum);
  }
  for (; t < steps - 2; t += 2) {
    sum = thimble_svdf_word16(state + t, time + t, thimble_load((const int8_t *)(state + t + 1)), sum);
  }
  const uint32_t kept = thimble_load((const int8_t *)(state + t)) >> 16 | (uint32_t)newest << 16;
  return thimble_svdf_word16(state + t, time + t, kept, sum);
}

/* Four steps or more. Work space: two words per group of the input. */
THIMBLE_KERNEL void thimble_svdf_s8_dsp(const THIMBLE_FLASH thimble_svdf_s8_dsp_params *p, const int8_t *in,
                                        const void *before, const THIMBLE_FLASH int32_t *feature,
                                        const THIMBLE_FLASH void *time, const THIMBLE_FLASH int32_t *bias, int8_t *out,
                                        void *state, void *scratch) {
  const THIMBLE_FLASH thimble_svdf_shape *s = &p->svdf.shape;
  const THIMBLE_FLASH int32_t *scale = p->scale;
  const int32_t filters = s->units * s->rank;
  int32_t sums[THIMBLE_SVDF_CHUNK], at = 0;
  (void)before;
  for (int32_t batch = 0; batch < s->batches; batch++) {
    const thimble_word *rows = (const thimble_word *)feature;
    thimble_rows_patch(&p->feature, in + batch * s->depth, (thimble_word *)scratch);
    int32_t sum = bias[0], unit = 0, taken = 0;
    for (int32_t f = 0; f < filters; f++, at += s->steps) {
      const int32_t i = f % THIMBLE_SVDF_CHUNK;
      if (i == 0) {
        const int32_t count = thimble_min((filters - f + 3) / 4 * 4, THIMBLE_SVDF_CHUNK);
        rows = thimble_rows_sums(&p->feature, rows, (thimble_word *)scratch, sums, count);
      }
      const int32_t scaled = thimble_scaled_sum(&p->feature.output, sums[i], scale[0], scale[1], scale[2]);
      const int32_t newest = thimble_svdf_kept(&p->svdf, scaled);
      if (p->svdf.wide) {
        sum = thimble_svdf_roll16((int16_t *)state + at, (const int16_t *)time + f * s->steps, s->steps, newest, sum);
      } else {
        sum = thimble_svdf_roll8((int8_t *)state + at, (const int8_t *)time + f * s->steps, s->steps, newest, sum);
      }
      if (++taken == s->rank) {
        *out++ = thimble_svdf_result(&p->svdf, sum);
        unit++;
        taken = 0;
        sum = unit < s->units ? bias[unit] : 0;
      }
    }
  }
}

#endif
