/* SPDX-License-Identifier: Apache-2.0 */
/* SOFTMAX on int16 along rows in one piece, by two tables of 513 values in Q15: exp(x) over [-10, 0], and 1 / (1 + x)
 * over [0, 1]. Row after row is read (three times), then written in order, each element read before its place is
 * written: input and output may be the same bytes.
 * Source: SoftmaxInt16, tensorflow/lite/kernels/internal/reference/softmax.h. */
#ifndef THIMBLE_SOFTMAX_S16_H
#define THIMBLE_SOFTMAX_S16_H

#include "reciprocal.h"

typedef struct {
  int32_t rows, length;      /* at most 65536 elements */
  int32_t multiplier, shift; /* from the input's steps to those of the table */
} thimble_softmax_s16_params;

/* Between the two entries around x, an int16. */
THIMBLE_INLINE int32_t thimble_softmax_s16_entry(const THIMBLE_FLASH int16_t *table, int32_t x) {
  const THIMBLE_FLASH int16_t *entry = table + (256 + (x >> 7));
  const int32_t value = entry[0];
  return value + (((entry[1] - value) * (x & 0x7F) + 64) >> 7);
}

/* The exponential of an element that is `below` (not above 0) apart from the largest. */
THIMBLE_INLINE int32_t thimble_softmax_s16_power(const THIMBLE_FLASH thimble_softmax_s16_params *p,
                                                 const THIMBLE_FLASH int16_t *powers, int32_t below) {
  const int32_t x = thimble_rescale(below, p->multiplier, p->shift);
  return thimble_softmax_s16_entry(powers, thimble_clamp(x, -65535, 0) + 32767);
}

THIMBLE_KERNEL void thimble_softmax_s16(const THIMBLE_FLASH thimble_softmax_s16_params *p, const int16_t *in,
                                        const THIMBLE_FLASH int16_t *powers, const THIMBLE_FLASH int16_t *inverses,
                                        int16_t *out) {
  for (int32_t row = 0; row < p->rows; row++, in += p->length, out += p->length) {
    int32_t largest = in[0];
    for (int32_t i = 1; i < p->length; i++) {
      largest = thimble_max(largest, in[i]);
    }
    int32_t sum = 0;
    for (int32_t i = 0; i < p->length; i++) {
      sum += thimble_softmax_s16_power(p, powers, in[i] - largest);
    }
    const int32_t zeros = thimble_leading_zeros((uint32_t)sum);
    /* The sum's leading 17 bits, as a number from 1 to 2. */
    const uint32_t leading = (((uint32_t)sum << (zeros - 1)) + ((uint32_t)1 << 13)) >> 14;
    const int32_t place = thimble_clamp((int32_t)leading - ((int32_t)3 << 15), -32768, 32767);
    const int32_t inverse = thimble_softmax_s16_entry(inverses, place);
    const int32_t right = 31 - zeros;
    for (int32_t i = 0; i < p->length; i++) {
      const int32_t share = thimble_softmax_s16_power(p, powers, in[i] - largest) * inverse;
      out[i] = (int16_t)thimble_clamp((share + ((int32_t)1 << (right - 1))) >> right, 0, 32767);
    }
  }
}

#endif
