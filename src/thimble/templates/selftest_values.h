/* SPDX-License-Identifier: Apache-2.0 */
/* Known inputs made up on the spot, and comparisons with expected outputs: what self-tests of bundles share. */
#ifndef THIMBLE_SELFTEST_VALUES_H
#define THIMBLE_SELFTEST_VALUES_H

#include "base.h"

/* 32 bits that look random, for element i of an input in a case. */
THIMBLE_INLINE uint32_t thimble_known(uint32_t i, uint32_t input, uint32_t number) {
  uint32_t x = i * UINT32_C(0x9E3779B9) + (input + 1u) * UINT32_C(0x85EBCA6B) + (number + 1u) * UINT32_C(0xC2B2AE35);
  x = (x ^ (x >> 16)) * UINT32_C(0x7FEB352D);
  x = (x ^ (x >> 15)) * UINT32_C(0x846CA68B);
  return x ^ (x >> 16);
}

/* The upper `bits` of them; in odd cases only the middle quarter of that range. */
THIMBLE_INLINE int32_t thimble_known_bits(uint32_t word, int32_t bits, uint32_t number) {
  const uint32_t value = word >> (32 - bits);
  return (int32_t)(number % 2u == 0u ? value : value / 4u + (UINT32_C(3) << (bits - 3)));
}

/* Fill `count` elements of an input of integers of `bits`, from the element `first` on; `low` is added. */
#define THIMBLE_FILL(name, type, bits, low)                                                                            \
  THIMBLE_INLINE void thimble_fill_##name(type *to, uint32_t first, uint32_t count, uint32_t input, uint32_t number) { \
    for (uint32_t i = 0; i < count; i++) {                                                                             \
      to[i] = (type)(thimble_known_bits(thimble_known(first + i, input, number), bits, number) + (int32_t)low);        \
    }                                                                                                                  \
  }
THIMBLE_FILL(int8, int8_t, 8, -128)
THIMBLE_FILL(uint8, uint8_t, 8, 0)
THIMBLE_FILL(int16, int16_t, 16, -32768)
THIMBLE_FILL(uint16, uint16_t, 16, 0)

/* Wide integers are indices, sizes and truth values more often than quantities: 0 or 1. */
#define THIMBLE_FILL_BIT(name, type)                                                                                   \
  THIMBLE_INLINE void thimble_fill_##name(type *to, uint32_t first, uint32_t count, uint32_t input, uint32_t number) { \
    for (uint32_t i = 0; i < count; i++) {                                                                             \
      to[i] = (type)(thimble_known(first + i, input, number) >> 31);                                                   \
    }                                                                                                                  \
  }
THIMBLE_FILL_BIT(bool, uint8_t)
THIMBLE_FILL_BIT(int32, int32_t)
THIMBLE_FILL_BIT(uint32, uint32_t)
THIMBLE_FILL_BIT(int64, int64_t)
THIMBLE_FILL_BIT(uint64, uint64_t)

/* Floats in [-1, 1), in odd cases in [-0.25, 0.25); every one of them is exact. */
#define THIMBLE_FILL_REAL(name, type)                                                                                  \
  THIMBLE_INLINE void thimble_fill_##name(type *to, uint32_t first, uint32_t count, uint32_t input, uint32_t number) { \
    const type unit = (type)1 / (type)(number % 2u == 0u ? INT32_C(8388608) : INT32_C(33554432));                      \
    for (uint32_t i = 0; i < count; i++) {                                                                             \
      to[i] = (type)((int32_t)(thimble_known(first + i, input, number) >> 8) - INT32_C(8388608)) * unit;               \
    }                                                                                                                  \
  }
THIMBLE_FILL_REAL(float32, float)
THIMBLE_FILL_REAL(float64, double)

/* Whether any of the elements 0, stride, 2 * stride, ... is not what it must be. */
#define THIMBLE_DIFFERS(name, type)                                                                       \
  THIMBLE_INLINE int thimble_differs_##name(const type *got, const THIMBLE_FLASH type *want, uint32_t samples, \
                                            uint32_t stride) {                                            \
    for (uint32_t i = 0; i < samples; i++) {                                                              \
      if (got[i * stride] != want[i]) {                                                                   \
        return 1;                                                                                         \
      }                                                                                                   \
    }                                                                                                     \
    return 0;                                                                                             \
  }
THIMBLE_DIFFERS(int8, int8_t)
THIMBLE_DIFFERS(uint8, uint8_t)
THIMBLE_DIFFERS(bool, uint8_t)
THIMBLE_DIFFERS(int16, int16_t)
THIMBLE_DIFFERS(uint16, uint16_t)
THIMBLE_DIFFERS(int32, int32_t)
THIMBLE_DIFFERS(uint32, uint32_t)
THIMBLE_DIFFERS(int64, int64_t)
THIMBLE_DIFFERS(uint64, uint64_t)

/* The same for floats, which may be off by `tolerance`; what is not finite must be the same. */
#define THIMBLE_DIFFERS_REAL(name, type)                                                                        \
  THIMBLE_INLINE int thimble_differs_##name(const type *got, const THIMBLE_FLASH type *want, uint32_t samples,  \
                                            uint32_t stride, float tolerance) {                                 \
    for (uint32_t i = 0; i < samples; i++) {                                                                    \
      const type a = got[i * stride], b = want[i];                                                              \
      const int same = (a <= b && a >= b) || (a != a && b != b); /* infinities; not-a-number is not itself */   \
      if (!same && !(a - b <= (type)tolerance && b - a <= (type)tolerance)) {                                   \
        return 1;                                                                                               \
      }                                                                                                         \
    }                                                                                                           \
    return 0;                                                                                                   \
  }
THIMBLE_DIFFERS_REAL(float32, float)
THIMBLE_DIFFERS_REAL(float64, double)

/* FNV-1a of all bytes of an output. */
THIMBLE_INLINE uint32_t thimble_checksum(const void *data, uint32_t bytes) {
  const uint8_t *at = (const uint8_t *)data;
  uint32_t sum = UINT32_C(0x811C9DC5);
  for (uint32_t i = 0; i < bytes; i++) {
    sum = (sum ^ at[i]) * UINT32_C(0x01000193);
  }
  return sum;
}

#endif
