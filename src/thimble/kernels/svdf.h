/* SPDX-License-Identifier: Apache-2.0 */
/* SVDF: each filter turns the input into one number, keeps the last `steps` of those, oldest first, and weighs them;
 * `rank` filters in a row make an output. State and outputs are written in order, once each; input and output must
 * not overlap, the state is updated in place (it comes as what is read and as what is written). */
#ifndef THIMBLE_SVDF_H
#define THIMBLE_SVDF_H

#include <math.h>

#include "rescale_small.h"
#include "saturate.h"

typedef struct {
  int32_t batches, depth, units, rank, steps;
  int32_t biased;
} thimble_svdf_shape;

typedef struct {
  thimble_svdf_shape shape;
  int32_t in_zero, state_zero, out_zero;
  int32_t low, high;               /* of results, before `out_zero` is added */
  int32_t multiplier, shift;       /* from sums over time to results */
  int32_t in_multiplier, in_shift; /* from sums over the input to what is kept */
  int32_t wide;                    /* whether state and weights in time are int16 */
  int32_t small;                   /* whether sums over time are small enough for thimble_rescale_small */
} thimble_svdf_params;

typedef struct {
  thimble_svdf_shape shape;
  int32_t tanh, sign; /* activations that do not clamp */
  float low, high;
} thimble_svdf_f32_params;

THIMBLE_INLINE float thimble_svdf_activated(const THIMBLE_FLASH thimble_svdf_f32_params *p, float x) {
  if (p->tanh) {
    return tanhf(x);
  }
  if (p->sign) {
    return signbit(x) ? 1.0f : 0.0f;
  }
  return x < p->low ? p->low : x > p->high ? p->high : x;
}

THIMBLE_KERNEL void thimble_svdf_f32(const THIMBLE_FLASH thimble_svdf_f32_params *p, const float *in,
                                     const float *before, const THIMBLE_FLASH float *feature,
                                     const THIMBLE_FLASH float *time, const THIMBLE_FLASH float *bias, float *out,
                                     float *state) {
  const THIMBLE_FLASH thimble_svdf_shape *s = &p->shape;
  const int32_t last = s->steps - 1;
  (void)before;
  for (int32_t batch = 0; batch < s->batches; batch++, in += s->depth) {
    for (int32_t unit = 0; unit < s->units; unit++) {
      float sum = 0.0f;
      for (int32_t r = 0; r < s->rank; r++, state += s->steps) {
        const int32_t filter = unit * s->rank + r;
        float newest = 0.0f;
        for (int32_t c = 0; c < s->depth; c++) {
          newest += in[c] * feature[filter * s->depth + c];
        }
        memmove(state, state + 1, (size_t)last * sizeof *state);
        state[last] = newest;
        for (int32_t t = 0; t <= last; t++) {
          sum += state[t] * time[filter * s->steps + t];
        }
      }
      *out++ = thimble_svdf_activated(p, s->biased ? sum + bias[unit] : sum);
    }
  }
}

/* A scaled sum over the input, as it is kept. */
THIMBLE_INLINE int32_t thimble_svdf_kept(const THIMBLE_FLASH thimble_svdf_params *p, int32_t scaled) {
  return (p->wide ? thimble_saturated(scaled, INT16_MIN, INT16_MAX) : thimble_saturated(scaled, INT8_MIN, INT8_MAX)) +
         p->state_zero;
}

/* A sum over time, as an output. */
THIMBLE_INLINE int8_t thimble_svdf_result(const THIMBLE_FLASH thimble_svdf_params *p, int32_t sum) {
  const int32_t scaled = p->small ? thimble_rescale_small(sum, p->multiplier, p->shift)
                                  : thimble_rescale(sum, p->multiplier, p->shift);
  return (int8_t)(thimble_clamp(scaled, p->low, p->high) + p->out_zero);
}

/* What a filter makes of the input. */
THIMBLE_INLINE int32_t thimble_svdf_newest(const THIMBLE_FLASH thimble_svdf_params *p, const int8_t *in,
                                           const THIMBLE_FLASH int8_t *feature) {
  uint32_t sum = 0;
  for (int32_t c = 0; c < p->shape.depth; c++) {
    sum += (uint32_t)((in[c] - p->in_zero) * feature[c]);
  }
  return thimble_svdf_kept(p, thimble_rescale((int32_t)sum, p->in_multiplier, p->in_shift));
}

/* Keep a number, and weigh all that are kept; modulo 2^32. */
THIMBLE_INLINE uint32_t thimble_svdf_sum8(const THIMBLE_FLASH thimble_svdf_params *p, int8_t *state,
                                          const THIMBLE_FLASH int8_t *time, int32_t newest, uint32_t sum) {
  const int32_t last = p->shape.steps - 1;
  memmove(state, state + 1, (size_t)last);
  state[last] = (int8_t)newest;
  for (int32_t t = 0; t <= last; t++) {
    sum += (uint32_t)((state[t] - p->state_zero) * time[t]);
  }
  return sum;
}

THIMBLE_INLINE uint32_t thimble_svdf_sum16(const THIMBLE_FLASH thimble_svdf_params *p, int16_t *state,
                                           const THIMBLE_FLASH int16_t *time, int32_t newest, uint32_t sum) {
  const int32_t last = p->shape.steps - 1;
  memmove(state, state + 1, (size_t)last * sizeof *state);
  state[last] = (int16_t)newest;
  for (int32_t t = 0; t <= last; t++) {
    sum += (uint32_t)(state[t] - p->state_zero) * (uint32_t)(int32_t)time[t];
  }
  return sum;
}

/* On int8; state and weights in time are int8 or int16. */
THIMBLE_KERNEL void thimble_svdf_s8(const THIMBLE_FLASH thimble_svdf_params *p, const int8_t *in, const void *before,
                                    const THIMBLE_FLASH int8_t *feature, const THIMBLE_FLASH void *time,
                                    const THIMBLE_FLASH int32_t *bias, int8_t *out, void *state) {
  const THIMBLE_FLASH thimble_svdf_shape *s = &p->shape;
  (void)before;
  for (int32_t batch = 0; batch < s->batches; batch++, in += s->depth) {
    for (int32_t unit = 0; unit < s->units; unit++) {
      uint32_t sum = s->biased ? (uint32_t)bias[unit] : 0u;
      for (int32_t r = 0; r < s->rank; r++) {
        const int32_t filter = unit * s->rank + r, kept = (batch * s->units * s->rank + filter) * s->steps;
        const int32_t newest = thimble_svdf_newest(p, in, feature + filter * s->depth);
        if (p->wide) {
          sum = thimble_svdf_sum16(p, (int16_t *)state + kept,
                                   (const THIMBLE_FLASH int16_t *)time + filter * s->steps, newest, sum);
        } else {
          sum = thimble_svdf_sum8(p, (int8_t *)state + kept, (const THIMBLE_FLASH int8_t *)time + filter * s->steps,
                                  newest, sum);
        }
      }
      *out++ = thimble_svdf_result(p, (int32_t)sum);
    }
  }
}

#endif
