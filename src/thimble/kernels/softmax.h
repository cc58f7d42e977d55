/* SPDX-License-Identifier: Apache-2.0 */
/* SOFTMAX on 8 bits along rows in one piece. The exponential depends on the distance to the row's largest element only:
 * `powers` holds it in Q0 for all distances that give more than 0.
 * Row after row is read (three times), then written from its first element to its last, each element read before its
 * place is written: input and output may be the same bytes if their elements have the same size.
 * Sums of exponentials saturate at 8192; TFLM stops at 512 already.
 * Source: tensorflow/lite/kernels/internal/reference/softmax.h. */
#ifndef THIMBLE_SOFTMAX_H
#define THIMBLE_SOFTMAX_H

#include "elements.h"
#include "reciprocal.h"

typedef struct {
  int32_t rows, length;
  int32_t powers;    /* number of them */
  int32_t right;     /* Q0 to the output's steps */
  int32_t low, high; /* of the output's type */
} thimble_softmax_params;

/* The exponential of an element `below` the largest. */
THIMBLE_INLINE uint32_t thimble_softmax_power(const THIMBLE_FLASH thimble_softmax_params *p,
                                              const THIMBLE_FLASH int32_t *powers, int32_t below) {
  return below < p->powers ? (uint32_t)powers[below] : 0;
}

THIMBLE_INLINE void thimble_softmax(const THIMBLE_FLASH thimble_softmax_params *p, const void *in,
                                    const THIMBLE_FLASH int32_t *powers, void *out, int32_t in_type,
                                    int32_t out_type) {
  for (int32_t row = 0; row < p->rows; row++) {
    const int32_t first = row * p->length, end = first + p->length;
    int32_t largest = thimble_get(in, first, in_type);
    for (int32_t i = first; i < end; i++) {
      largest = thimble_max(largest, thimble_get(in, i, in_type));
    }
    uint32_t sum = 0; /* Q12 */
    for (int32_t i = first; i < end; i++) {
      sum += (thimble_softmax_power(p, powers, largest - thimble_get(in, i, in_type)) + 2048u) >> 12;
      if (p->length > 8191 && sum > UINT32_MAX - 0x80000u) {
        sum = UINT32_MAX - 0x80000u;
      }
    }
    int32_t zeros;
    const int32_t inverse = thimble_reciprocal(sum, &zeros);
    const int32_t right = p->right + 12 - zeros;
    for (int32_t i = first; i < end; i++) {
      const uint32_t power = thimble_softmax_power(p, powers, largest - thimble_get(in, i, in_type));
      const uint32_t share = (uint32_t)thimble_product(inverse, (int32_t)power);
      const int32_t scaled = right > 31 ? 0 : (int32_t)((share + ((uint32_t)1 << (right - 1))) >> right);
      thimble_put(out, i, thimble_min(scaled + p->low, p->high), out_type);
    }
  }
}

THIMBLE_KERNEL void thimble_softmax_s8(const THIMBLE_FLASH thimble_softmax_params *p, const int8_t *in,
                                       const THIMBLE_FLASH int32_t *powers, int8_t *out) {
  thimble_softmax(p, in, powers, out, THIMBLE_S8, THIMBLE_S8);
}
THIMBLE_KERNEL void thimble_softmax_u8(const THIMBLE_FLASH thimble_softmax_params *p, const uint8_t *in,
                                       const THIMBLE_FLASH int32_t *powers, uint8_t *out) {
  thimble_softmax(p, in, powers, out, THIMBLE_U8, THIMBLE_U8);
}
THIMBLE_KERNEL void thimble_softmax_s8_s16(const THIMBLE_FLASH thimble_softmax_params *p, const int8_t *in,
                                           const THIMBLE_FLASH int32_t *powers, int16_t *out) {
  thimble_softmax(p, in, powers, out, THIMBLE_S8, THIMBLE_S16);
}

#endif
