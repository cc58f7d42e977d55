/* SPDX-License-Identifier: Apache-2.0 */
/* SOFTMAX and LOG_SOFTMAX on float32 along rows in one piece. Row after row is read, then written from its first
 * element to its last, each element read before its place is written: input and output may be the same bytes. SOFTMAX
 * writes the exponentials first; when it has read all of a row, it reads them again and divides them. */
#ifndef THIMBLE_SOFTMAX_F32_H
#define THIMBLE_SOFTMAX_F32_H

#include <math.h>

#include "base.h"

typedef struct {
  int32_t rows, length;
  float beta;
} thimble_softmax_f32_params;

THIMBLE_INLINE float thimble_softmax_f32_largest(const float *in, int32_t length) {
  float largest = in[0];
  for (int32_t i = 1; i < length; i++) {
    largest = in[i] > largest ? in[i] : largest;
  }
  return largest;
}

THIMBLE_KERNEL void thimble_softmax_f32(const THIMBLE_FLASH thimble_softmax_f32_params *p, const float *in,
                                        float *out) {
  for (int32_t row = 0; row < p->rows; row++, in += p->length, out += p->length) {
    const float largest = thimble_softmax_f32_largest(in, p->length);
    float sum = 0.0f;
    for (int32_t i = 0; i < p->length; i++) {
      const float power = expf((in[i] - largest) * p->beta);
      sum += power;
      out[i] = power;
    }
    for (int32_t i = 0; i < p->length; i++) {
      out[i] /= sum;
    }
  }
}

THIMBLE_KERNEL void thimble_log_softmax_f32(const THIMBLE_FLASH thimble_softmax_f32_params *p, const float *in,
                                            float *out) {
  for (int32_t row = 0; row < p->rows; row++, in += p->length, out += p->length) {
    const float largest = thimble_softmax_f32_largest(in, p->length);
    float sum = 0.0f;
    for (int32_t i = 0; i < p->length; i++) {
      sum += expf((in[i] - largest) * p->beta);
    }
    const float total = logf(sum);
    for (int32_t i = 0; i < p->length; i++) {
      out[i] = (in[i] - largest) * p->beta - total;
    }
  }
}

#endif
