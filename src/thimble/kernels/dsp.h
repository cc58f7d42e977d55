/* SPDX-License-Identifier: Apache-2.0 */
/* Packed arithmetic of Armv7E-M and Armv8-M with the DSP extension; plain C with the same results elsewhere.
 * Source: Armv7-M Architecture Reference Manual (DDI 0403), A7.7: SXTB16, SADD16, SMLAD, SMMLAR, SSAT. */
#ifndef THIMBLE_DSP_H
#define THIMBLE_DSP_H

#include "base.h"

#if defined(__GNUC__)
typedef uint32_t __attribute__((may_alias)) thimble_word; /* four bytes or two halfwords of something else */
#else
typedef uint32_t thimble_word;
#endif

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)

/* Bytes 0 and 2 of a word as two signed halfwords; then bytes 1 and 3. */
THIMBLE_INLINE uint32_t thimble_even(uint32_t x) {
  uint32_t r;
  __asm__("sxtb16 %0, %1" : "=r"(r) : "r"(x));
  return r;
}
THIMBLE_INLINE uint32_t thimble_odd(uint32_t x) {
  uint32_t r;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(x));
  return r;
}
/* Both halfwords times two. */
THIMBLE_INLINE uint32_t thimble_twice(uint32_t x) {
  uint32_t r;
  __asm__("sadd16 %0, %1, %1" : "=r"(r) : "r"(x));
  return r;
}
/* sum + low x * low y + high x * high y */
THIMBLE_INLINE int32_t thimble_dual_mac(uint32_t x, uint32_t y, int32_t sum) {
  int32_t r;
  __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(sum));
  return r;
}
/* sum + low x * low y, and sum + high x * high y */
THIMBLE_INLINE int32_t thimble_low_mac(uint32_t x, uint32_t y, int32_t sum) {
  int32_t r;
  __asm__("smlabb %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(sum));
  return r;
}
THIMBLE_INLINE int32_t thimble_high_mac(uint32_t x, uint32_t y, int32_t sum) {
  int32_t r;
  __asm__("smlatt %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(sum));
  return r;
}
/* sum + low x * high y */
THIMBLE_INLINE int32_t thimble_low_high_mac(uint32_t x, uint32_t y, int32_t sum) {
  int32_t r;
  __asm__("smlabt %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(sum));
  return r;
}
/* The low halves of two words as a word, and the high halves. */
THIMBLE_INLINE uint32_t thimble_pack_low(uint32_t x, uint32_t y) {
  uint32_t r;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(r) : "r"(x), "r"(y));
  return r;
}
THIMBLE_INLINE uint32_t thimble_pack_high(uint32_t x, uint32_t y) {
  uint32_t r;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(r) : "r"(y), "r"(x));
  return r;
}
/* sum + x * y / 2^32, rounded half up */
THIMBLE_INLINE int32_t thimble_high_mla(int32_t x, int32_t y, int32_t sum) {
  int32_t r;
  __asm__("smmlar %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(sum));
  return r;
}
/* The same, rounded down. */
THIMBLE_INLINE int32_t thimble_high_mla_floor(int32_t x, int32_t y, int32_t sum) {
  int32_t r;
  __asm__("smmla %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(sum));
  return r;
}
/* Both pairs of bytes swapped. */
THIMBLE_INLINE uint32_t thimble_swap(uint32_t x) {
  uint32_t r;
  __asm__("rev16 %0, %1" : "=r"(r) : "r"(x));
  return r;
}
/* Clamped to int8. */
THIMBLE_INLINE int32_t thimble_ssat8(int32_t x) {
  int32_t r;
  __asm__("ssat %0, #8, %1" : "=r"(r) : "r"(x));
  return r;
}

#else

THIMBLE_INLINE int32_t thimble_half(uint32_t x, int32_t which) { return (int16_t)(uint16_t)(x >> (16 * which)); }
THIMBLE_INLINE uint32_t thimble_pair(int32_t low, int32_t high) {
  return (uint32_t)(uint16_t)low | (uint32_t)(uint16_t)high << 16;
}
THIMBLE_INLINE uint32_t thimble_even(uint32_t x) {
  return thimble_pair((int8_t)(uint8_t)x, (int8_t)(uint8_t)(x >> 16));
}
THIMBLE_INLINE uint32_t thimble_odd(uint32_t x) { return thimble_even(x >> 8); }
THIMBLE_INLINE uint32_t thimble_twice(uint32_t x) {
  return thimble_pair(2 * thimble_half(x, 0), 2 * thimble_half(x, 1));
}
THIMBLE_INLINE int32_t thimble_low_mac(uint32_t x, uint32_t y, int32_t sum) {
  return (int32_t)((uint32_t)sum + (uint32_t)(thimble_half(x, 0) * thimble_half(y, 0)));
}
THIMBLE_INLINE int32_t thimble_high_mac(uint32_t x, uint32_t y, int32_t sum) {
  return (int32_t)((uint32_t)sum + (uint32_t)(thimble_half(x, 1) * thimble_half(y, 1)));
}
THIMBLE_INLINE int32_t thimble_dual_mac(uint32_t x, uint32_t y, int32_t sum) {
  return thimble_high_mac(x, y, thimble_low_mac(x, y, sum));
}
THIMBLE_INLINE int32_t thimble_low_high_mac(uint32_t x, uint32_t y, int32_t sum) {
  return (int32_t)((uint32_t)sum + (uint32_t)(thimble_half(x, 0) * thimble_half(y, 1)));
}
THIMBLE_INLINE uint32_t thimble_pack_low(uint32_t x, uint32_t y) { return (x & 0xFFFFu) | y << 16; }
THIMBLE_INLINE uint32_t thimble_pack_high(uint32_t x, uint32_t y) { return x >> 16 | (y & 0xFFFF0000u); }
THIMBLE_INLINE int32_t thimble_high_mla(int32_t x, int32_t y, int32_t sum) {
  const int64_t product = (int64_t)x * y + ((int64_t)1 << 31);
  return (int32_t)((uint32_t)sum + (uint32_t)(product >> 32));
}
THIMBLE_INLINE int32_t thimble_high_mla_floor(int32_t x, int32_t y, int32_t sum) {
  return (int32_t)((uint32_t)sum + (uint32_t)(((int64_t)x * y) >> 32));
}
THIMBLE_INLINE uint32_t thimble_swap(uint32_t x) { return (x & 0x00FF00FFu) << 8 | (x >> 8 & 0x00FF00FFu); }
THIMBLE_INLINE int32_t thimble_ssat8(int32_t x) { return thimble_clamp(x, -128, 127); }

#endif

/* A word from any address. */
THIMBLE_INLINE uint32_t thimble_load(const int8_t *p) {
  uint32_t word;
  memcpy(&word, p, 4);
  return word;
}

#endif
