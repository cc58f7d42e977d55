/* SPDX-License-Identifier: Apache-2.0 */
/* LOG_SOFTMAX on int8 along rows in one piece; the output's scale is 1/16 and its zero point 127. Row after row is read
 * (three times), then written in order, each element read before its place is written: input and output may be the
 * same bytes. Sums of exponentials saturate at 4096, where TFLM's overflow.
 * Source: tensorflow/lite/kernels/internal/reference/log_softmax.h. */
#ifndef THIMBLE_LOG_SOFTMAX_H
#define THIMBLE_LOG_SOFTMAX_H

#include "reciprocal.h"

typedef struct {
  int32_t rows, length;
  int32_t powers;            /* number of exponentials that are more than 0 */
  int32_t multiplier, shift; /* from the input's steps to Q5 */
  int32_t furthest;          /* distance from the largest element beyond which the result is -128 */
} thimble_log_softmax_params;

/* log(x) in Q5 of a number of Q12 that is 1 or more. It is taken as power * log(2) plus the logarithm of a number near
 * 2^(-1/4), for which there is a rational function.
 * Source: log_x_for_x_greater_than_or_equal_to_1_impl, in the file named above. */
static inline int32_t thimble_log_from_one(int32_t x) {
  const int32_t root = 1518500250;   /* 2^(-1/2) */
  const int32_t centre = 1805811301; /* 2^(-1/4) */
  const int32_t quarter = (int32_t)1 << 23;
  const int32_t zeros_a = thimble_leading_zeros((uint32_t)x);
  const int32_t zeros_b = thimble_leading_zeros((uint32_t)thimble_product(x, root)) - 1;
  const int32_t a = thimble_saturating_left(thimble_product(thimble_shift_left(x, zeros_a - 1), root), 1);
  const int32_t b = thimble_saturating_left(x, zeros_b);
  const int32_t power_a = thimble_shift_left(12 - zeros_a, 25) + quarter;
  const int32_t power_b = thimble_shift_left(12 - zeros_b, 25) - quarter;
  const int32_t r = thimble_min(a, b);
  const int32_t q = 2 * (r - centre);
  const int32_t p = (int32_t)(((uint32_t)r + (uint32_t)centre + 1u) >> 1);
  const int32_t square = thimble_product(q, q);
  const int32_t cube = thimble_product(q, square);
  const int32_t above = thimble_product(q, r) + thimble_product(cube, 117049297); /* 11/240 * 2^(1/4) */
  const int32_t inner = 1057819769 + q + thimble_product(square, 127690142);
  const int32_t below = thimble_product(p, inner) + thimble_product(q, 638450708);
  const int32_t rest = thimble_product(thimble_shift_right(above, 6), thimble_one_over_one_plus(below));
  return thimble_shift_left(thimble_product(thimble_max(power_a, power_b), 1488522236) + rest, 1);
}

THIMBLE_INLINE int32_t thimble_log_softmax_largest(const int8_t *in, int32_t length) {
  int32_t largest = in[0];
  for (int32_t i = 1; i < length; i++) {
    largest = thimble_max(largest, in[i]);
  }
  return largest;
}

/* `powers` holds the exponential in Q12 by the distance from the row's largest element. */
THIMBLE_KERNEL void thimble_log_softmax_s8(const THIMBLE_FLASH thimble_log_softmax_params *p, const int8_t *in,
                                           const THIMBLE_FLASH int32_t *powers, int8_t *out) {
  for (int32_t row = 0; row < p->rows; row++, in += p->length, out += p->length) {
    const int32_t largest = thimble_log_softmax_largest(in, p->length);
    uint32_t sum = 0;
    for (int32_t i = 0; i < p->length; i++) {
      const int32_t below = largest - in[i];
      sum += below < p->powers ? (uint32_t)powers[below] : 0;
      sum = sum > INT32_MAX ? INT32_MAX : sum;
    }
    const int32_t total = thimble_log_from_one((int32_t)sum);
    for (int32_t i = 0; i < p->length; i++) {
      const int32_t below = largest - in[i], lowest = -((int32_t)1 << 30); /* from there down all give -128 */
      const int32_t scaled = below > p->furthest ? lowest : thimble_rescale(-below, p->multiplier, p->shift);
      out[i] = (int8_t)thimble_clamp(thimble_shift_right(thimble_max(scaled, lowest) - total, 22) + 127, -128, 127);
    }
  }
}

#endif
