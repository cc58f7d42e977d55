/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of int8 products to outputs, with one multiplication where multipliers are below a half, bit for bit as TFLM.
 *
 * TFLM computes v = floor(a * m / 2^31 + 1/2), then v / 2^n to nearest, ties away from zero, which is
 * floor((v + 2^(n-1) - (v < 0)) / 2^n) for n >= 1. The sign of a may stand for that of v, as they differ only where v
 * is 0, and 0 and -1 both end as 0. Source: see fixed_point.h. */
#ifndef THIMBLE_REQUANTIZE_S8_H
#define THIMBLE_REQUANTIZE_S8_H

#include "fixed_point.h"

/* Cores that cannot multiply to 64 bits do it in halves of 16 bits. */
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__) || defined(__AVR__)
#define THIMBLE_SPLIT_MULTIPLY 1
#endif
#if defined(THIMBLE_SPLIT_MULTIPLY)
#define THIMBLE_PRODUCT_FUNCTION __attribute__((noinline, unused)) static
#else
#define THIMBLE_PRODUCT_FUNCTION THIMBLE_INLINE
#endif

/* a * m / 2^31, rounded half up; |a| below 2^30, m not negative. */
THIMBLE_PRODUCT_FUNCTION int32_t thimble_high_product(int32_t a, int32_t m) {
#if defined(THIMBLE_SPLIT_MULTIPLY)
  const uint32_t twice = (uint32_t)a * 2u;
  const int32_t high = (int32_t)twice >> 16, m_high = m >> 16;
  const uint32_t low = twice & 0xFFFFu, m_low = (uint32_t)m & 0xFFFFu;
  /* At most (2^15 - 1)(2^16 - 1) + (2^16 - 2) + 2^15 = 2^31 - 1. */
  const int32_t middle = high * (int32_t)m_low + (int32_t)((low * m_low >> 16) + 0x8000u);
  const uint32_t carry = low * (uint32_t)m_high + ((uint32_t)middle & 0xFFFFu); /* below 2^32 */
  return high * m_high + (middle >> 16) + (int32_t)(carry >> 16);
#else
  return (int32_t)(((int64_t)(int32_t)((uint32_t)a * 2u) * m + ((int64_t)1 << 31)) >> 32);
#endif
}

typedef struct {
  int32_t zero, low, high; /* the bounds include the zero point */
  int32_t quick;           /* 1 where all sums are below 2^30, and all shifts are 1 to 30 to the right */
} thimble_output_s8;

/* One sum to an output; `channel` holds bias, multiplier and shift (negative: to the right). */
THIMBLE_INLINE int8_t thimble_requantize_s8(const THIMBLE_FLASH thimble_output_s8 *p, uint32_t sum,
                                            const THIMBLE_FLASH int32_t *channel) {
  const int32_t a = (int32_t)(sum + (uint32_t)channel[0]);
  int32_t scaled;
  if (p->quick) {
    const int32_t right = -channel[2];
    scaled = (thimble_high_product(a, channel[1]) + (int32_t)((uint32_t)1 << (right - 1)) + (a >> 31)) >> right;
  } else {
    scaled = thimble_rescale(a, channel[1], channel[2]);
  }
  return (int8_t)(thimble_clamp(scaled, p->low - p->zero, p->high - p->zero) + p->zero);
}

#define THIMBLE_CHANNEL_WORDS 3

/* Four sums; as numbers, since compilers keep arrays in memory. */
typedef struct {
  uint32_t a, b, c, d;
} thimble_sums;

/* Taps of a window within the image, along one axis. */
typedef struct {
  int32_t first, end;
} thimble_inside;

/* The window begins at cell `start` of `size`. */
THIMBLE_INLINE thimble_inside thimble_taps_inside(int32_t start, int32_t size, int32_t kernel, int32_t dilation) {
  thimble_inside taps = {0, kernel};
  if (start < 0) {
    taps.first = (dilation - 1 - start) / dilation;
  }
  if (start + (kernel - 1) * dilation >= size) {
    taps.end = thimble_max((size - start + dilation - 1) / dilation, taps.first);
  }
  return taps;
}

#endif
