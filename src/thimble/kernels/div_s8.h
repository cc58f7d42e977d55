/* SPDX-License-Identifier: Apache-2.0 */
/* DIV of int8 by a table of reciprocals. See `pairs.h` for order and sharing. */
#ifndef THIMBLE_DIV_S8_H
#define THIMBLE_DIV_S8_H

#include "pairs.h"
#include "scale.h"

typedef struct {
  thimble_pairs over;
  int32_t a_zero, b_zero;
  int32_t multiplier, exponent;
  int32_t zero, low, high; /* bounds do not include the zero point */
} thimble_div_s8_params;

/* Zero bits before the first one of an int32 that is not negative; 32 for 0. */
THIMBLE_INLINE int32_t thimble_zeros_before(int32_t x) {
#if defined(__GNUC__)
  return x == 0 ? 32 : (int32_t)(__builtin_clzl((unsigned long)x) - 8 * (int)sizeof(unsigned long) + 32);
#else
  int32_t zeros = 32;
  for (; x != 0; x >>= 1) {
    zeros--;
  }
  return zeros;
#endif
}

/* `inverses` are 1 / y for y in [0, 255], scaled to [1/2, 1] in Q31. */
THIMBLE_INLINE int32_t thimble_div_s8_of(int32_t x, int32_t y, const THIMBLE_FLASH int32_t *inverses,
                                         const THIMBLE_FLASH thimble_div_s8_params *p) {
  x = y < 0 ? -x : x;
  y = y < 0 ? -y : y;
  const int32_t headroom = thimble_zeros_before(x < 0 ? -(x + 1) : x) - 1;
  const int32_t unscaled = thimble_high_multiply(thimble_shift_left(x, headroom), inverses[y]);
  const int32_t right = 31 - thimble_zeros_before(y) + headroom - p->exponent;
  const int32_t scaled = thimble_high_multiply(unscaled, p->multiplier);
  const int32_t result = right > 31 ? 0 : thimble_shift_right(scaled, right < 0 ? 0 : right);
  return thimble_clamp(result, p->low, p->high) + p->zero;
}

THIMBLE_SMALL_KERNEL void thimble_div_s8(const THIMBLE_FLASH thimble_div_s8_params *p, const int8_t *left,
                                         const int8_t *right, const THIMBLE_FLASH int32_t *inverses, int8_t *out) {
  THIMBLE_EACH_PAIR(p->over, left, right) {
    *out++ = (int8_t)thimble_div_s8_of(*left - p->a_zero, *right - p->b_zero, inverses, p);
  }
}

#endif
