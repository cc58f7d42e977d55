/* SPDX-License-Identifier: Apache-2.0 */
/* LOGISTIC and TANH of int16 by TFLM's table of the sigmoid, interpolated. Input and output may be the same bytes.
 * Source: Logistic and Tanh, tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h and tanh.h. */
#ifndef THIMBLE_SIGMOID_S16_H
#define THIMBLE_SIGMOID_S16_H

#include "pairs.h"

typedef struct {
  int32_t count;
  int32_t multiplier, nudge, shift; /* from the input to the table's fine steps */
  int32_t bits;                     /* fine steps between two entries: 2^bits */
  int32_t saturated;                /* from the last entry on */
  int32_t plus, minus, right;       /* (value + plus) >> right, of negative numbers (minus - value) >> right */
} thimble_sigmoid_s16_params;

THIMBLE_INLINE int32_t thimble_sigmoid_of(int32_t x, const THIMBLE_FLASH uint16_t *table,
                                          const THIMBLE_FLASH thimble_sigmoid_s16_params *p) {
  const int32_t scaled = (x * p->multiplier + p->nudge) >> p->shift;
  const int32_t magnitude = scaled < 0 ? -scaled : scaled, index = magnitude >> p->bits;
  int32_t value = p->saturated;
  if (index < 255) {
    const int32_t low = table[index], high = table[index + 1];
    value = low * ((int32_t)1 << p->bits) + (magnitude & (((int32_t)1 << p->bits) - 1)) * (high - low);
  }
  return (scaled < 0 ? p->minus - value : value + p->plus) >> p->right;
}

THIMBLE_SMALL_KERNEL void thimble_sigmoid_s16(const THIMBLE_FLASH thimble_sigmoid_s16_params *p, const int16_t *in,
                                              const THIMBLE_FLASH uint16_t *table, int16_t *out) {
  for (int32_t i = 0; i < p->count; i++) {
    out[i] = (int16_t)thimble_sigmoid_of(in[i], table, p);
  }
}

#endif
