/* SPDX-License-Identifier: Apache-2.0 */
/* Inner products with packed arithmetic: two filters over two patches, four filters over one.
 *
 * A group is four taps: one word of int8 weights per filter, two words of int16 per patch (taps 0 and 2, taps 1 and 3,
 * as SXTB16 takes them). Compilers run out of registers here and spill, so four groups at a time are written out in
 * assembly: 15 instructions per group for 16 products, and 19 for the four filters. */
#ifndef THIMBLE_DOT_DSP_H
#define THIMBLE_DOT_DSP_H

#include "dsp.h"

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__) && defined(__OPTIMIZE__)
#define THIMBLE_DOT_ASSEMBLY 1
#endif

#define THIMBLE_PATCH_GROUP 4 /* words from one group to the next in a patch of two pixels */

/* `words` words of int8 to int16, doubled or not, in every other pair of words of a patch. */
#if defined(THIMBLE_DOT_ASSEMBLY)

#define THIMBLE_SPREAD_WORD "ldr %[x], [%[in]], #4\n\tsxtb16 %[y], %[x]\n\tsxtb16 %[x], %[x], ror #8\n\t"
#define THIMBLE_SPREAD_TWICE "sadd16 %[y], %[y], %[y]\n\tsadd16 %[x], %[x], %[x]\n\t"
#define THIMBLE_SPREAD_STORE "strd %[y], %[x], [%[out]], #16\n\t"
#define THIMBLE_SPREAD_PLAIN THIMBLE_SPREAD_WORD THIMBLE_SPREAD_STORE
#define THIMBLE_SPREAD_DOUBLED THIMBLE_SPREAD_WORD THIMBLE_SPREAD_TWICE THIMBLE_SPREAD_STORE
#define THIMBLE_SPREAD(body) \
  __asm__ volatile(body : [in] "+r"(in), [out] "+r"(out), [x] "=&r"(x), [y] "=&r"(y) : : "memory")

THIMBLE_INLINE void thimble_spread(const int8_t *in, thimble_word *out, int32_t words, int32_t doubled) {
  uint32_t x, y;
  if (doubled) {
    for (int32_t i = words / 4; i > 0; i--) {
      THIMBLE_SPREAD(THIMBLE_SPREAD_DOUBLED THIMBLE_SPREAD_DOUBLED THIMBLE_SPREAD_DOUBLED THIMBLE_SPREAD_DOUBLED);
    }
    if (words & 2) {
      THIMBLE_SPREAD(THIMBLE_SPREAD_DOUBLED THIMBLE_SPREAD_DOUBLED);
    }
    if (words & 1) {
      THIMBLE_SPREAD(THIMBLE_SPREAD_DOUBLED);
    }
  } else {
    for (int32_t i = words / 4; i > 0; i--) {
      THIMBLE_SPREAD(THIMBLE_SPREAD_PLAIN THIMBLE_SPREAD_PLAIN THIMBLE_SPREAD_PLAIN THIMBLE_SPREAD_PLAIN);
    }
    if (words & 2) {
      THIMBLE_SPREAD(THIMBLE_SPREAD_PLAIN THIMBLE_SPREAD_PLAIN);
    }
    if (words & 1) {
      THIMBLE_SPREAD(THIMBLE_SPREAD_PLAIN);
    }
  }
}

#else

THIMBLE_INLINE void thimble_spread(const int8_t *in, thimble_word *out, int32_t words, int32_t doubled) {
  for (int32_t i = 0; i < words; i++) {
    const uint32_t x = thimble_load(in + 4 * i), even = thimble_even(x), odd = thimble_odd(x);
    out[THIMBLE_PATCH_GROUP * i] = doubled ? thimble_twice(even) : even;
    out[THIMBLE_PATCH_GROUP * i + 1] = doubled ? thimble_twice(odd) : odd;
  }
}

#endif

/* Sums of filters 0 and 1 (rows) over patches 0 and 1 (columns). */
typedef struct {
  int32_t s00, s01, s10, s11;
} thimble_quad;

#if defined(THIMBLE_DOT_ASSEMBLY)

#define THIMBLE_QUAD_GROUP                                         \
  "ldrd %[u], %[v], [%[w]], #8\n\t"                                \
  "ldrd %[x], %[y], [%[p]], #8\n\t"                                \
  "sxtb16 %[t], %[u]\n\t"                                          \
  "sxtb16 %[u], %[u], ror #8\n\t"                                  \
  "sxtb16 %[r], %[v]\n\t"                                          \
  "sxtb16 %[v], %[v], ror #8\n\t"                                  \
  "smlad %[a], %[x], %[t], %[a]\n\tsmlad %[c], %[x], %[r], %[c]\n\t" \
  "smlad %[a], %[y], %[u], %[a]\n\tsmlad %[c], %[y], %[v], %[c]\n\t" \
  "ldrd %[x], %[y], [%[p]], #8\n\t"                                \
  "smlad %[b], %[x], %[t], %[b]\n\tsmlad %[d], %[x], %[r], %[d]\n\t" \
  "smlad %[b], %[y], %[u], %[b]\n\tsmlad %[d], %[y], %[v], %[d]\n\t"

#define THIMBLE_QUAD_BLOCK(body)                                                                                  \
  __asm__ volatile(body                                                                                               \
          : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [w] "+r"(w), [p] "+r"(p), [u] "=&r"(u), [v] "=&r"(v), \
            [x] "=&r"(x), [y] "=&r"(y), [t] "=&r"(t), [r] "=&r"(r)                                                \
          :                                                                                                       \
          : "memory")

THIMBLE_INLINE thimble_quad thimble_quad_dot(const thimble_word **weights, const thimble_word *p, int32_t groups,
                                             thimble_quad sum) {
  const thimble_word *w = *weights;
  int32_t a = sum.s00, b = sum.s01, c = sum.s10, d = sum.s11;
  uint32_t u, v, x, y, t, r;
  for (int32_t i = groups / 4; i > 0; i--) {
    THIMBLE_QUAD_BLOCK(THIMBLE_QUAD_GROUP THIMBLE_QUAD_GROUP THIMBLE_QUAD_GROUP THIMBLE_QUAD_GROUP);
  }
  if (groups & 2) {
    THIMBLE_QUAD_BLOCK(THIMBLE_QUAD_GROUP THIMBLE_QUAD_GROUP);
  }
  if (groups & 1) {
    THIMBLE_QUAD_BLOCK(THIMBLE_QUAD_GROUP);
  }
  *weights = w;
  return (thimble_quad){a, b, c, d};
}

#else

THIMBLE_INLINE thimble_quad thimble_quad_dot(const thimble_word **weights, const thimble_word *p, int32_t groups,
                                             thimble_quad sum) {
  const thimble_word *w = *weights;
  for (int32_t i = 0; i < groups; i++) {
    const uint32_t u0 = thimble_even(w[0]), u1 = thimble_odd(w[0]), v0 = thimble_even(w[1]), v1 = thimble_odd(w[1]);
    sum.s00 = thimble_dual_mac(p[1], u1, thimble_dual_mac(p[0], u0, sum.s00));
    sum.s01 = thimble_dual_mac(p[3], u1, thimble_dual_mac(p[2], u0, sum.s01));
    sum.s10 = thimble_dual_mac(p[1], v1, thimble_dual_mac(p[0], v0, sum.s10));
    sum.s11 = thimble_dual_mac(p[3], v1, thimble_dual_mac(p[2], v0, sum.s11));
    w += 2;
    p += 4;
  }
  *weights = w;
  return sum;
}

#endif

/* Four filters over one patch whose groups follow each other, four words of weights per group. */
#if defined(THIMBLE_DOT_ASSEMBLY)

#define THIMBLE_FOUR_TWO(first, second)                                                                   \
  "ldrd %[u], %[v], [%[w]], #8\n\t"                                                                       \
  "sxtb16 %[t], %[u]\n\tsmlad %[" first "], %[x], %[t], %[" first "]\n\t"                                 \
  "sxtb16 %[u], %[u], ror #8\n\tsmlad %[" first "], %[y], %[u], %[" first "]\n\t"                         \
  "sxtb16 %[t], %[v]\n\tsmlad %[" second "], %[x], %[t], %[" second "]\n\t"                               \
  "sxtb16 %[v], %[v], ror #8\n\tsmlad %[" second "], %[y], %[v], %[" second "]\n\t"
#define THIMBLE_FOUR_GROUP "ldrd %[x], %[y], [%[p]], #8\n\t" THIMBLE_FOUR_TWO("a", "b") THIMBLE_FOUR_TWO("c", "d")
#define THIMBLE_FOUR_BLOCK(body)                                                                                  \
  __asm__ volatile(body                                                                                           \
                   : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [w] "+r"(w), [p] "+r"(p), [u] "=&r"(u),  \
                     [v] "=&r"(v), [x] "=&r"(x), [y] "=&r"(y), [t] "=&r"(t)                                       \
                   :                                                                                              \
                   : "memory")

THIMBLE_INLINE thimble_quad thimble_four_dot(const thimble_word *w, const thimble_word *p, int32_t groups,
                                             thimble_quad sum) {
  int32_t a = sum.s00, b = sum.s01, c = sum.s10, d = sum.s11;
  uint32_t u, v, x, y, t;
  for (int32_t i = groups / 4; i > 0; i--) {
    THIMBLE_FOUR_BLOCK(THIMBLE_FOUR_GROUP THIMBLE_FOUR_GROUP THIMBLE_FOUR_GROUP THIMBLE_FOUR_GROUP);
  }
  for (int32_t i = groups % 4; i > 0; i--) {
    THIMBLE_FOUR_BLOCK(THIMBLE_FOUR_GROUP);
  }
  return (thimble_quad){a, b, c, d};
}

#else

THIMBLE_INLINE thimble_quad thimble_four_dot(const thimble_word *w, const thimble_word *p, int32_t groups,
                                             thimble_quad sum) {
  for (int32_t i = 0; i < groups; i++) {
    sum.s00 = thimble_dual_mac(p[1], thimble_odd(w[0]), thimble_dual_mac(p[0], thimble_even(w[0]), sum.s00));
    sum.s01 = thimble_dual_mac(p[1], thimble_odd(w[1]), thimble_dual_mac(p[0], thimble_even(w[1]), sum.s01));
    sum.s10 = thimble_dual_mac(p[1], thimble_odd(w[2]), thimble_dual_mac(p[0], thimble_even(w[2]), sum.s10));
    sum.s11 = thimble_dual_mac(p[1], thimble_odd(w[3]), thimble_dual_mac(p[0], thimble_even(w[3]), sum.s11));
    w += 4;
    p += 2;
  }
  return sum;
}

#endif

#endif
