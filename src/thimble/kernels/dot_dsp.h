/* SPDX-License-Identifier: Apache-2.0 */
/* Inner products with packed arithmetic: two filters over three patches or over two, four filters over one.
 *
 * A group is four taps: one word of int8 weights per filter, and two words (of two halfwords) per patch. Weights must
 * be widened on the way, which costs half as much as multiplying. Packed sums spare half of that: a word of weights is
 * stored as two halfwords h = 256 w1 + w0, whose low bytes are w0. With values x0, x1 and q = x1 + 128,
 *     (256 x0 + 255 - q) w0 + q h = 256 (x0 w0 + x1 w1) + 255 w0 + 256 * 128 w1,
 * where both factors on the left fit in an int16, and the constants go into the bias. Sums are 256 times what they
 * should be, which must stay below 2^23. Where they do not, or an h does not fit, weights are as they were and values
 * are doubled.
 *
 * Compilers run out of registers here and spill. Assembly takes 17 instructions per group for 24 products; for 16
 * it takes 13 with two patches, 14 with one (doubled: 20, 16, and 19). It leaves r7 alone, which may be the frame
 * pointer. Clang reads memory operands by a register of their own, so that there is one less, and 19 instructions per
 * group for three patches, 14 for two. */
#ifndef THIMBLE_DOT_DSP_H
#define THIMBLE_DOT_DSP_H

#include "requantize_dsp.h"

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__) && defined(__OPTIMIZE__) && \
    !defined(THIMBLE_NO_ASSEMBLY)
#define THIMBLE_DOT_ASSEMBLY 1
#endif

#define THIMBLE_TILE_PIXELS 3

/* Two filters at a time over the patches of three pixels. In a patch of three the first words of a group come first. */
typedef struct {
  int8_t *out[THIMBLE_TILE_PIXELS]; /* where each pixel's next output goes; the last pixel's is written first */
  const thimble_word *patch;        /* offset 12 in assembly */
  uint32_t entry;                   /* 16: where the first round of groups begins */
  const int8_t *end;                /* 20: of out[0] */
  const thimble_word *filters;      /* 24: per pair two biases, the words of all groups, and two scales */
  uint32_t low, high;               /* 28: the range of outputs, in both halves */
  int32_t groups;                   /* 36 */
  const thimble_word *stop;         /* 40: what follows the patch */
} thimble_tile;

/* The same over two patches, each in one piece. */
typedef struct {
  thimble_tile tile;
  const thimble_word *second; /* 44: the second patch */
} thimble_twin;

/* The same for one patch and four filters at a time: `out[0]` alone. */
#define THIMBLE_UNIT_FILTERS 4

/* The two words of a patch for a word of int8. */
THIMBLE_INLINE void thimble_widen(uint32_t x, int32_t packed, thimble_word *first, thimble_word *second) {
  if (packed) {
    const uint32_t mixed = thimble_swap(x ^ 0x7F007F00u);
    *first = ~mixed & 0x00FF00FFu;
    *second = mixed;
  } else {
    *first = thimble_twice(thimble_odd(x));
    *second = thimble_twice(thimble_even(x));
  }
}

/* `words` words of int8 to a patch among `pixels`. Returns what follows in it. */
THIMBLE_INLINE thimble_word *thimble_spread(const int8_t *in, thimble_word *patch, int32_t words, int32_t pixels,
                                            int32_t packed) {
  THIMBLE_UNROLL(4)
  for (int32_t i = 0; i < words; i++) {
    thimble_widen(thimble_load(in + 4 * i), packed, patch, patch + pixels);
    patch += 2 * pixels;
  }
  return patch;
}

/* The same where all words are one. */
THIMBLE_INLINE thimble_word *thimble_spread_same(uint32_t x, thimble_word *patch, int32_t words, int32_t pixels,
                                                 int32_t packed) {
  thimble_word first, second;
  thimble_widen(x, packed, &first, &second);
  for (int32_t i = 0; i < words; i++) {
    patch[0] = first;
    patch[pixels] = second;
    patch += 2 * pixels;
  }
  return patch;
}

/* One filter over one patch, which is among `pixels`. Returns what follows the filter. */
THIMBLE_INLINE const thimble_word *thimble_single(const THIMBLE_FLASH thimble_output *p, const thimble_word *filter,
                                                  const thimble_word *patch, int32_t groups, int32_t pixels,
                                                  int8_t *out) {
  int32_t sum = (int32_t)*filter++;
  for (int32_t i = 0; i < groups; i++) {
    const uint32_t w = *filter++;
    sum = thimble_dual_mac(patch[0], p->packed ? w : thimble_odd(w), sum);
    sum = thimble_dual_mac(patch[pixels], thimble_even(w), sum);
    patch += 2 * pixels;
  }
  *out = thimble_requantize(p, sum, (const int32_t *)filter);
  return filter + THIMBLE_SCALE_WORDS;
}

#if defined(THIMBLE_DOT_ASSEMBLY)

/* Sums r2, r3, r4 of the first filter, r5, r6, r8 of the second. Weights r9, r10; patch r11, r12, lr (Clang: two). */
#if defined(__clang__)
#define THIMBLE_ASM_TILE "mov r12, %[tile]\n\t"
#define THIMBLE_TILE_COMPARE "ldr r11, [%[tile], #40]\n\tcmp r1, r11\n\t"
#define THIMBLE_UNIT_COMPARE THIMBLE_TILE_COMPARE
#define THIMBLE_UNIT_STOP
#define THIMBLE_ASM_OPERANDS [tile] "r"(tile)
#define THIMBLE_ASM_LR
#define THIMBLE_TILE_SUMS(widen)                                                                                   \
  "ldrd r11, r12, [r1], #8\n\t" widen "smlad r2, r9, r11, r2\n\tsmlad r5, r10, r11, r5\n\t"                       \
  "smlad r3, r9, r12, r3\n\tsmlad r6, r10, r12, r6\n\t"                                                           \
  "ldr.w r11, [r1], #4\n\tsmlad r4, r9, r11, r4\n\tsmlad r8, r10, r11, r8\n\t"
#define THIMBLE_GCC_OR(gcc, clang) clang
#else
#define THIMBLE_ASM_TILE "ldr r12, %[tile]\n\t"
#define THIMBLE_TILE_COMPARE "ldr r11, %[stop]\n\tcmp r1, r11\n\t"
#define THIMBLE_UNIT_COMPARE "cmp r1, lr\n\t"
#define THIMBLE_UNIT_STOP "ldr lr, %[stop]\n\t"
#define THIMBLE_ASM_OPERANDS [tile] "m"(tile), [stop] "m"(stop)
#define THIMBLE_ASM_LR "lr",
#define THIMBLE_TILE_SUMS(widen)                                                                                   \
  "ldmia.w r1!, {r11, r12, lr}\n\t" widen "smlad r2, r9, r11, r2\n\tsmlad r5, r10, r11, r5\n\t"                   \
  "smlad r3, r9, r12, r3\n\tsmlad r6, r10, r12, r6\n\tsmlad r4, r9, lr, r4\n\tsmlad r8, r10, lr, r8\n\t"
#define THIMBLE_GCC_OR(gcc, clang) gcc
#endif
#define THIMBLE_TILE_EVEN "sxtb16 r9, r9\n\tsxtb16 r10, r10\n\t"
#define THIMBLE_TILE_ODD "sxtb16 r9, r9, ror #8\n\tsxtb16 r10, r10, ror #8\n\t"
#define THIMBLE_TILE_PACKED "ldrd r9, r10, [r0], #8\n\t" THIMBLE_TILE_SUMS("") THIMBLE_TILE_SUMS(THIMBLE_TILE_EVEN)
#define THIMBLE_TILE_DOUBLED                                      \
  "ldrd r9, r10, [r0]\n\t" THIMBLE_TILE_SUMS(THIMBLE_TILE_ODD)    \
  "ldrd r9, r10, [r0], #8\n\t" THIMBLE_TILE_SUMS(THIMBLE_TILE_EVEN)

#define THIMBLE_TILE_SCALES(one) \
  THIMBLE_ASM_SCALE one("r2") one("r3") one("r4") THIMBLE_ASM_SCALE one("r5") one("r6") one("r8")
#define THIMBLE_TILE_CLAMPS                                                                            \
  THIMBLE_ASM_TILE "ldrd r9, r10, [r12, #28]\n\t" THIMBLE_ASM_CLAMP("r2", "r3") \
  THIMBLE_ASM_CLAMP("r4", "r5") THIMBLE_ASM_CLAMP("r6", "r8")
#define THIMBLE_TILE_BEGIN                                                 \
  "ldrd r2, r5, [r0], #8\n\t"                                              \
  "mov r3, r2\n\tmov r4, r2\n\tmov r6, r5\n\tmov r8, r5\n\t"
#define THIMBLE_TILE_END                                                                         \
  THIMBLE_ASM_TILE "ldmia.w r12, {r9, r10, r11}\n\t"                                             \
  "strb r4, [r11], #1\n\tstrb r8, [r11], #1\n\tstrb r3, [r10], #1\n\tstrb r6, [r10], #1\n\t"   \
  "strb r2, [r9], #1\n\tstrb r5, [r9], #1\n\tstmia.w r12, {r9, r10, r11}\n\t"

#define THIMBLE_EIGHT(code) ".rept 8\n\t" code ".endr\n\t"

/* The function: `PIXELS` patches, groups that are `BYTES` of code, in rounds of eight, of which the first begins in the
 * middle where the number of groups is no multiple of eight. BEGIN reads biases, and END writes outputs. */
#define THIMBLE_DOT(NAME, PIXELS, BEGIN, GROUP, BYTES, COMPARE, SCALES, END)                              \
  __attribute__((THIMBLE_OPAQUE, unused)) static void NAME(thimble_tile *tile) {                          \
    const thimble_word *const stop = tile->patch + 2 * (PIXELS) * tile->groups;                           \
    tile->stop = stop;                                                                                    \
    tile->entry = (uint32_t)(-tile->groups & 7) * (BYTES) + 1u; /* of Thumb code */                       \
    __asm__ volatile(THIMBLE_ASM_TILE                                                                     \
        "ldr r0, [r12, #24]\n\tldr r1, [r12, #16]\n\tadr.w r2, 1f\n\tadd r1, r1, r2\n\tstr r1, [r12, #16]\n" \
        "2:\n\t" BEGIN THIMBLE_ASM_TILE "ldr r1, [r12, #12]\n\tldr.w pc, [r12, #16]\n\t"                  \
        ".balign 4\n"                                                                                     \
        "1:\n\t" THIMBLE_EIGHT(GROUP) COMPARE "bne.w 1b\n\t" SCALES END                                  \
        "ldr r12, [r12, #20]\n\tcmp r9, r12\n\tbne.w 2b\n\t" THIMBLE_ASM_TILE "str r0, [r12, #24]"        \
        :                                                                                                 \
        : THIMBLE_ASM_OPERANDS                                                                            \
        : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", THIMBLE_ASM_LR "cc", \
          "memory");                                                                                      \
  }

#define THIMBLE_TILE(NAME, GROUP, BYTES, SCALES, CLAMPS) \
  THIMBLE_DOT(NAME, THIMBLE_TILE_PIXELS, THIMBLE_TILE_BEGIN, GROUP, BYTES, THIMBLE_TILE_COMPARE, SCALES CLAMPS, \
              THIMBLE_TILE_END)

THIMBLE_TILE(thimble_tile_positive, THIMBLE_TILE_PACKED, THIMBLE_GCC_OR(68, 76),
             THIMBLE_TILE_SCALES(THIMBLE_ASM_POSITIVE), "")
THIMBLE_TILE(thimble_tile_packed, THIMBLE_TILE_PACKED, THIMBLE_GCC_OR(68, 76),
             THIMBLE_TILE_SCALES(THIMBLE_ASM_PACKED), "")
THIMBLE_TILE(thimble_tile_clamped, THIMBLE_TILE_PACKED, THIMBLE_GCC_OR(68, 76),
             THIMBLE_TILE_SCALES(THIMBLE_ASM_PACKED), THIMBLE_TILE_CLAMPS)
THIMBLE_TILE(thimble_tile_doubled, THIMBLE_TILE_DOUBLED, THIMBLE_GCC_OR(80, 88),
             THIMBLE_TILE_SCALES(THIMBLE_ASM_DOUBLED), THIMBLE_TILE_CLAMPS)

/* Two patches: sums r2, r3 of the first filter, r5, r6 of the second. Weights r9, r10; the first patch, by r1, is in
 * r11 and r12, the second, by r4, in r8 and lr (Clang: in r8). */
#define THIMBLE_PAIR_SUMS(x, y)                                           \
  "smlad r2, r9, " x ", r2\n\tsmlad r5, r10, " x ", r5\n\t"               \
  "smlad r3, r9, " y ", r3\n\tsmlad r6, r10, " y ", r6\n\t"
#define THIMBLE_PAIR_NEXT "ldr.w r8, [r4], #4\n\t"
#define THIMBLE_PAIR_LOADS \
  "ldrd r11, r12, [r1], #8\n\t" THIMBLE_GCC_OR("ldrd r8, lr, [r4], #8\n\t", THIMBLE_PAIR_NEXT)
#define THIMBLE_PAIR_LAST \
  THIMBLE_GCC_OR(THIMBLE_PAIR_SUMS("r12", "lr"), THIMBLE_PAIR_NEXT THIMBLE_PAIR_SUMS("r12", "r8"))
#define THIMBLE_PAIR_PACKED                                                                         \
  "ldrd r9, r10, [r0], #8\n\t" THIMBLE_PAIR_LOADS THIMBLE_PAIR_SUMS("r11", "r8") THIMBLE_TILE_EVEN \
  THIMBLE_PAIR_LAST
#define THIMBLE_PAIR_DOUBLED                                                                       \
  "ldrd r9, r10, [r0]\n\t" THIMBLE_PAIR_LOADS THIMBLE_TILE_ODD THIMBLE_PAIR_SUMS("r11", "r8")     \
  "ldrd r9, r10, [r0], #8\n\t" THIMBLE_TILE_EVEN THIMBLE_PAIR_LAST

#define THIMBLE_PAIR_SCALES(one) \
  THIMBLE_ASM_SCALE one("r2") one("r3") THIMBLE_ASM_SCALE one("r5") one("r6")
#define THIMBLE_PAIR_CLAMPS \
  THIMBLE_ASM_TILE "ldrd r9, r10, [r12, #28]\n\t" THIMBLE_ASM_CLAMP("r2", "r3") THIMBLE_ASM_CLAMP("r5", "r6")
#define THIMBLE_PAIR_BEGIN \
  "ldrd r2, r5, [r0], #8\n\tmov r3, r2\n\tmov r6, r5\n\t" THIMBLE_ASM_TILE "ldr.w r4, [r12, #44]\n\t"
#define THIMBLE_PAIR_END                                                                         \
  THIMBLE_ASM_TILE "ldrd r9, r10, [r12]\n\tstrb r3, [r10], #1\n\tstrb r6, [r10], #1\n\t"       \
  "strb r2, [r9], #1\n\tstrb r5, [r9], #1\n\tstrd r9, r10, [r12]\n\t"

#define THIMBLE_PAIR(NAME, GROUP, BYTES, SCALES, CLAMPS) \
  THIMBLE_DOT(NAME, 1, THIMBLE_PAIR_BEGIN, GROUP, BYTES, THIMBLE_TILE_COMPARE, SCALES CLAMPS, THIMBLE_PAIR_END)

THIMBLE_PAIR(thimble_pair_positive, THIMBLE_PAIR_PACKED, THIMBLE_GCC_OR(52, 56),
             THIMBLE_PAIR_SCALES(THIMBLE_ASM_POSITIVE), "")
THIMBLE_PAIR(thimble_pair_packed, THIMBLE_PAIR_PACKED, THIMBLE_GCC_OR(52, 56),
             THIMBLE_PAIR_SCALES(THIMBLE_ASM_PACKED), "")
THIMBLE_PAIR(thimble_pair_clamped, THIMBLE_PAIR_PACKED, THIMBLE_GCC_OR(52, 56),
             THIMBLE_PAIR_SCALES(THIMBLE_ASM_PACKED), THIMBLE_PAIR_CLAMPS)
THIMBLE_PAIR(thimble_pair_doubled, THIMBLE_PAIR_DOUBLED, THIMBLE_GCC_OR(64, 68),
             THIMBLE_PAIR_SCALES(THIMBLE_ASM_DOUBLED), THIMBLE_PAIR_CLAMPS)

/* The first two of three patches; registers as above. */
#define THIMBLE_DUO_NEXT "ldrd r11, r12, [r1], #12\n\t"
#define THIMBLE_DUO_PACKED                                                                          \
  "ldrd r9, r10, [r0], #8\n\t" THIMBLE_DUO_NEXT THIMBLE_PAIR_SUMS("r11", "r12") THIMBLE_TILE_EVEN  \
  THIMBLE_DUO_NEXT THIMBLE_PAIR_SUMS("r11", "r12")
#define THIMBLE_DUO_DOUBLED                                                                         \
  "ldrd r9, r10, [r0]\n\t" THIMBLE_DUO_NEXT THIMBLE_TILE_ODD THIMBLE_PAIR_SUMS("r11", "r12")       \
  "ldrd r9, r10, [r0], #8\n\t" THIMBLE_TILE_EVEN THIMBLE_DUO_NEXT THIMBLE_PAIR_SUMS("r11", "r12")
#define THIMBLE_DUO_BEGIN "ldrd r2, r5, [r0], #8\n\tmov r3, r2\n\tmov r6, r5\n\t"

#define THIMBLE_DUO(NAME, GROUP, BYTES, SCALES)                                                                     \
  THIMBLE_DOT(NAME, THIMBLE_TILE_PIXELS, THIMBLE_DUO_BEGIN, GROUP, BYTES, THIMBLE_TILE_COMPARE,                      \
              THIMBLE_PAIR_SCALES(SCALES) THIMBLE_PAIR_CLAMPS, THIMBLE_PAIR_END)

THIMBLE_DUO(thimble_duo_packed, THIMBLE_DUO_PACKED, 52, THIMBLE_ASM_PACKED)
THIMBLE_DUO(thimble_duo_doubled, THIMBLE_DUO_DOUBLED, 64, THIMBLE_ASM_DOUBLED)

/* Sums r2 to r5. Weights r6, r8, r9, r10; patch r11, r12; its end lr but in Clang. */
#define THIMBLE_UNIT_SUMS(x) \
  "smlad r2, r6, " x ", r2\n\tsmlad r3, r8, " x ", r3\n\tsmlad r4, r9, " x ", r4\n\tsmlad r5, r10, " x ", r5\n\t"
#define THIMBLE_UNIT_EVEN "sxtb16 r6, r6\n\tsxtb16 r8, r8\n\tsxtb16 r9, r9\n\tsxtb16 r10, r10\n\t"
#define THIMBLE_UNIT_ODD \
  "sxtb16 r6, r6, ror #8\n\tsxtb16 r8, r8, ror #8\n\tsxtb16 r9, r9, ror #8\n\tsxtb16 r10, r10, ror #8\n\t"
#define THIMBLE_UNIT_PACKED                                                   \
  "ldmia.w r0!, {r6, r8, r9, r10}\n\tldrd r11, r12, [r1], #8\n\t"             \
  THIMBLE_UNIT_SUMS("r11") THIMBLE_UNIT_EVEN THIMBLE_UNIT_SUMS("r12")
#define THIMBLE_UNIT_DOUBLED                                                  \
  "ldmia.w r0, {r6, r8, r9, r10}\n\tldrd r11, r12, [r1], #8\n\t"              \
  THIMBLE_UNIT_ODD THIMBLE_UNIT_SUMS("r11")                                   \
  "ldmia.w r0!, {r6, r8, r9, r10}\n\t" THIMBLE_UNIT_EVEN THIMBLE_UNIT_SUMS("r12")

#define THIMBLE_UNIT_SCALES(one) \
  THIMBLE_ASM_SCALE one("r2") THIMBLE_ASM_SCALE one("r3") THIMBLE_ASM_SCALE one("r4") THIMBLE_ASM_SCALE one("r5")
#define THIMBLE_UNIT_CLAMPS \
  THIMBLE_ASM_TILE "ldrd r9, r10, [r12, #28]\n\t" THIMBLE_ASM_CLAMP("r2", "r3") THIMBLE_ASM_CLAMP("r4", "r5")
#define THIMBLE_UNIT_BEGIN THIMBLE_UNIT_STOP "ldmia.w r0!, {r2, r3, r4, r5}\n\t"
#define THIMBLE_UNIT_END                                                                         \
  THIMBLE_ASM_TILE "ldr r9, [r12]\n\tstrb r2, [r9], #1\n\tstrb r3, [r9], #1\n\t"                 \
  "strb r4, [r9], #1\n\tstrb r5, [r9], #1\n\tstr r9, [r12]\n\t"

#define THIMBLE_UNIT(NAME, GROUP, BYTES, SCALES, CLAMPS) \
  THIMBLE_DOT(NAME, 1, THIMBLE_UNIT_BEGIN, GROUP, BYTES, THIMBLE_UNIT_COMPARE, SCALES CLAMPS, THIMBLE_UNIT_END)

THIMBLE_UNIT(thimble_unit_packed, THIMBLE_UNIT_PACKED, 56, THIMBLE_UNIT_SCALES(THIMBLE_ASM_PACKED), "")
THIMBLE_UNIT(thimble_unit_clamped, THIMBLE_UNIT_PACKED, 56, THIMBLE_UNIT_SCALES(THIMBLE_ASM_PACKED),
             THIMBLE_UNIT_CLAMPS)
THIMBLE_UNIT(thimble_unit_doubled, THIMBLE_UNIT_DOUBLED, 76, THIMBLE_UNIT_SCALES(THIMBLE_ASM_DOUBLED),
             THIMBLE_UNIT_CLAMPS)

/* Shared code has the general variants only. */
#if defined(THIMBLE_SHARE_KERNELS)
#define THIMBLE_FULL_RANGE(p) 0
#else
#define THIMBLE_FULL_RANGE(p) ((p)->low == -128 && (p)->high == 127)
#endif

/* The filters in pairs up to `end`, which there must be; moves `out` and `filters` on. */
THIMBLE_INLINE void thimble_tile_run(const THIMBLE_FLASH thimble_output *p, thimble_tile *tile) {
  if (!p->packed) {
    thimble_tile_doubled(tile);
  } else if (!THIMBLE_FULL_RANGE(p)) {
    thimble_tile_clamped(tile);
  } else if (p->positive) {
    thimble_tile_positive(tile);
  } else {
    thimble_tile_packed(tile);
  }
}

/* The same over the first two patches. */
THIMBLE_INLINE void thimble_duo_run(const THIMBLE_FLASH thimble_output *p, thimble_tile *tile) {
  if (p->packed) {
    thimble_duo_packed(tile);
  } else {
    thimble_duo_doubled(tile);
  }
}

/* The same over two patches, each in one piece. */
THIMBLE_INLINE void thimble_pair_run(const THIMBLE_FLASH thimble_output *p, thimble_twin *twin) {
  thimble_tile *tile = &twin->tile;
  if (!p->packed) {
    thimble_pair_doubled(tile);
  } else if (!THIMBLE_FULL_RANGE(p)) {
    thimble_pair_clamped(tile);
  } else if (p->positive) {
    thimble_pair_positive(tile);
  } else {
    thimble_pair_packed(tile);
  }
}

/* The filters in fours over one patch. */
THIMBLE_INLINE void thimble_unit_run(const THIMBLE_FLASH thimble_output *p, thimble_tile *tile) {
  if (!p->packed) {
    thimble_unit_doubled(tile);
  } else if (!THIMBLE_FULL_RANGE(p)) {
    thimble_unit_clamped(tile);
  } else {
    thimble_unit_packed(tile);
  }
}

#else

/* `count` filters whose words are interleaved over `pixels` patches, whose words lie `apart` and in steps of `step`. */
THIMBLE_INLINE void thimble_block(const THIMBLE_FLASH thimble_output *p, thimble_tile *tile, int32_t count,
                                  int32_t pixels, ptrdiff_t apart, int32_t step) {
  const thimble_word *words = tile->filters + count;
  const int32_t *scales = (const int32_t *)(words + count * tile->groups);
  for (int32_t x = pixels - 1; x >= 0; x--) {
    for (int32_t f = 0; f < count; f++) {
      const thimble_word *patch = tile->patch + x * apart;
      int32_t sum = (int32_t)tile->filters[f];
      for (int32_t i = 0; i < tile->groups; i++) {
        const uint32_t w = words[count * i + f];
        sum = thimble_dual_mac(patch[0], p->packed ? w : thimble_odd(w), sum);
        sum = thimble_dual_mac(patch[step], thimble_even(w), sum);
        patch += 2 * step;
      }
      *tile->out[x]++ = thimble_requantize(p, sum, scales + THIMBLE_SCALE_WORDS * f);
    }
  }
  tile->filters = (const thimble_word *)(scales + THIMBLE_SCALE_WORDS * count);
}

THIMBLE_INLINE void thimble_tile_run(const THIMBLE_FLASH thimble_output *p, thimble_tile *tile) {
  while (tile->out[0] != tile->end) {
    thimble_block(p, tile, 2, THIMBLE_TILE_PIXELS, 1, THIMBLE_TILE_PIXELS);
  }
}

THIMBLE_INLINE void thimble_duo_run(const THIMBLE_FLASH thimble_output *p, thimble_tile *tile) {
  while (tile->out[0] != tile->end) {
    thimble_block(p, tile, 2, 2, 1, THIMBLE_TILE_PIXELS);
  }
}

THIMBLE_INLINE void thimble_pair_run(const THIMBLE_FLASH thimble_output *p, thimble_twin *twin) {
  while (twin->tile.out[0] != twin->tile.end) {
    thimble_block(p, &twin->tile, 2, 2, twin->second - twin->tile.patch, 1);
  }
}

THIMBLE_INLINE void thimble_unit_run(const THIMBLE_FLASH thimble_output *p, thimble_tile *tile) {
  while (tile->out[0] != tile->end) {
    thimble_block(p, tile, THIMBLE_UNIT_FILTERS, 1, 0, 1);
  }
}

#endif

#endif
