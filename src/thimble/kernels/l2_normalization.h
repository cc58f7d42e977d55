/* SPDX-License-Identifier: Apache-2.0 */
/* L2_NORMALIZATION along rows in one piece. Row after row is read, then written from its first element to its last,
 * each element read before its place is written: input and output may be the same bytes.
 * Source: tensorflow/lite/kernels/internal/reference/l2normalization.h and integer_ops/l2normalization.h. */
#ifndef THIMBLE_L2_NORMALIZATION_H
#define THIMBLE_L2_NORMALIZATION_H

#include <math.h>

#include "reciprocal.h"

typedef struct {
  int32_t rows, length;
  int32_t in_zero; /* of int8; its output has a scale of 1/128 and no zero point */
} thimble_l2_normalization_params;

THIMBLE_KERNEL void thimble_l2_normalization_s8(const THIMBLE_FLASH thimble_l2_normalization_params *p,
                                                const int8_t *in, int8_t *out) {
  for (int32_t row = 0; row < p->rows; row++, in += p->length, out += p->length) {
    int32_t energy = 0;
    for (int32_t i = 0; i < p->length; i++) {
      const int32_t x = in[i] - p->in_zero;
      energy += x * x;
    }
    int32_t shift;
    const int32_t multiplier = thimble_inverse_sqrt(energy, &shift);
    for (int32_t i = 0; i < p->length; i++) {
      out[i] = (int8_t)thimble_clamp(thimble_rescale(in[i] - p->in_zero, multiplier, shift + 7), -128, 127);
    }
  }
}

THIMBLE_KERNEL void thimble_l2_normalization_f32(const THIMBLE_FLASH thimble_l2_normalization_params *p,
                                                 const float *in, float *out) {
  for (int32_t row = 0; row < p->rows; row++, in += p->length, out += p->length) {
    float energy = 0.0f;
    for (int32_t i = 0; i < p->length; i++) {
      energy += in[i] * in[i];
    }
    const float length = sqrtf(energy);
    const float divisor = length < 1e-6f ? 1e-6f : length;
    for (int32_t i = 0; i < p->length; i++) {
      out[i] = in[i] / divisor;
    }
  }
}

#endif
