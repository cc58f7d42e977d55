/* SPDX-License-Identifier: Apache-2.0 */
/* CUMSUM along one axis of [outer, count, inner]. For each outer, for each inner, elements are read and written one
 * after the other along the axis, each read before its place is written: input and output may be the same bytes.
 * Source of the int8 arithmetic: CumSum, tensorflow/lite/kernels/internal/reference/cumsum.h. */
#ifndef THIMBLE_CUMSUM_H
#define THIMBLE_CUMSUM_H

#include "fixed_point.h"

typedef struct {
  int32_t outer, count, inner;
  int32_t first, step;            /* element along the axis to begin with, and distance to the next in elements */
  int32_t exclusive;              /* whether a sum is without its own element */
  int32_t in_zero, out_zero, multiplier, shift; /* int8: sums of 2^19 * (x - in_zero) times this */
} thimble_cumsum_params;

THIMBLE_KERNEL void thimble_cumsum_s8(const THIMBLE_FLASH thimble_cumsum_params *p, const int8_t *in, int8_t *out) {
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t i = 0; i < p->inner; i++) {
      int32_t at = (o * p->count + p->first) * p->inner + i;
      uint32_t sum = (uint32_t)-p->in_zero << 19; /* TFLM's kernel starts there, even for sums without own element */
      for (int32_t k = 0; k < p->count; k++) {
        const uint32_t next = sum + ((uint32_t)(in[at] - p->in_zero) << 19);
        const int32_t shown = (int32_t)(p->exclusive ? sum : next);
        const int32_t scaled = thimble_rescale(shown, p->multiplier, p->shift);
        out[at] = (int8_t)(thimble_clamp(scaled, -128 - p->out_zero, 127 - p->out_zero) + p->out_zero);
        sum = next;
        at += p->step;
      }
    }
  }
}

THIMBLE_KERNEL void thimble_cumsum_f32(const THIMBLE_FLASH thimble_cumsum_params *p, const float *in, float *out) {
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t i = 0; i < p->inner; i++) {
      int32_t at = (o * p->count + p->first) * p->inner + i;
      float sum = 0.0f;
      for (int32_t k = 0; k < p->count; k++) {
        const float next = sum + in[at];
        out[at] = p->exclusive ? sum : next;
        sum = next;
        at += p->step;
      }
    }
  }
}

#endif
