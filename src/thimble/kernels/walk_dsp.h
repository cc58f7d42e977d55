/* SPDX-License-Identifier: Apache-2.0 */
/* Inner products of four filters and int8 values that are spread out on the way (see dot_dsp.h), without work space for
 * them. A window is a list of runs: values in one piece, of whole groups of four.
 *
 * Assembly takes 17 instructions per group for 16 products (doubled: 23); with Clang, which has a register less, 18. */
#ifndef THIMBLE_WALK_DSP_H
#define THIMBLE_WALK_DSP_H

#include "dot_dsp.h"

#if defined(THIMBLE_DOT_ASSEMBLY)
typedef const int8_t *thimble_place;
#else
typedef int32_t thimble_place; /* from the image's start, or -1 for cells outside */
#endif

/* For the assembly: where it begins and ends, and where in the code; else its place and the number of groups. */
typedef struct {
  thimble_place cells, stop;
  uint32_t entry;
} thimble_run;

/* A tile whose `patch` is the list of runs. */
typedef struct {
  thimble_tile tile;
  const thimble_run *next; /* 44 in assembly */
  const thimble_run *last; /* 48: what follows the list */
  const int8_t *in;        /* the image, and values that stand for cells outside it */
  const int8_t *outside;
} thimble_walk;

#if defined(THIMBLE_DOT_ASSEMBLY)

/* Sums r2 to r5. Weights r6, r8, r9, r10; values r11, r12; a constant lr but in Clang. */
#define THIMBLE_WALK_SPREAD                                                                                 \
  THIMBLE_GCC_OR("eor r11, r11, #0x7F007F00\n\trev16.w r12, r11\n\tbic.w r11, lr, r12\n\t",                 \
                 "uxtb16 r12, r11, ror #8\n\teor r11, r11, #0x7F007F00\n\trev16.w r11, r11\n\t"              \
                 "eor r12, r12, #0x00800080\n\t")
#define THIMBLE_WALK_PACKED                                                                                 \
  "ldmia.w r0!, {r6, r8, r9, r10}\n\tldr.w r11, [r1], #4\n\t" THIMBLE_WALK_SPREAD                           \
  THIMBLE_GCC_OR(THIMBLE_UNIT_SUMS("r11"), THIMBLE_UNIT_SUMS("r12")) THIMBLE_UNIT_EVEN                       \
  THIMBLE_GCC_OR(THIMBLE_UNIT_SUMS("r12"), THIMBLE_UNIT_SUMS("r11"))
#define THIMBLE_WALK_DOUBLED                                                                                \
  "ldmia.w r0, {r6, r8, r9, r10}\n\tldr.w r11, [r1], #4\n\tsxtb16 r12, r11, ror #8\n\t"                     \
  "sadd16 r12, r12, r12\n\t" THIMBLE_UNIT_ODD THIMBLE_UNIT_SUMS("r12")                                      \
  "ldmia.w r0!, {r6, r8, r9, r10}\n\tsxtb16 r12, r11\n\tsadd16 r12, r12, r12\n\t"                           \
  THIMBLE_UNIT_EVEN THIMBLE_UNIT_SUMS("r12")

/* Groups are `BYTES` of code, in rounds of eight; a run begins in the middle of one if it is no multiple of eight. */
#define THIMBLE_WALK(NAME, GROUP, SCALES, CLAMPS)                                                                  \
  __attribute__((THIMBLE_OPAQUE, unused)) static void NAME(thimble_tile *tile) {                                   \
    __asm__ volatile(                                                                                              \
        THIMBLE_ASM_TILE "ldr.w r0, [r12, #24]\n"                                                                  \
        "2:\n\tldmia.w r0!, {r2, r3, r4, r5}\n\t" THIMBLE_ASM_TILE "ldr.w r11, [r12, #12]\n\t"                     \
        THIMBLE_GCC_OR("mov.w lr, #0x00FF00FF\n", "\n")                                                            \
        "3:\n\tldmia.w r11!, {r1, r6, r8}\n\tstrd r6, r11, [r12, #40]\n\t"                                        \
        "adr.w r9, 1f\n\tadd.w r9, r9, r8\n\tbx r9\n\t"                                                          \
        ".balign 4\n"                                                                                              \
        "1:\n\t" THIMBLE_EIGHT(GROUP) THIMBLE_ASM_TILE "ldrd r6, r11, [r12, #40]\n\tcmp r1, r6\n\tbne.w 1b\n\t" \
        "ldr.w r6, [r12, #48]\n\tcmp r11, r6\n\tbne.w 3b\n\t" SCALES CLAMPS THIMBLE_UNIT_END                        \
        "ldr r12, [r12, #20]\n\tcmp r9, r12\n\tbne.w 2b\n\t" THIMBLE_ASM_TILE "str.w r0, [r12, #24]"               \
        :                                                                                                          \
        : THIMBLE_GCC_OR([tile] "m"(tile), [tile] "r"(tile))                                                       \
        : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", THIMBLE_ASM_LR "cc",          \
          "memory");                                                                                               \
  }

THIMBLE_WALK(thimble_walk_packed, THIMBLE_WALK_PACKED, THIMBLE_UNIT_SCALES(THIMBLE_ASM_PACKED), "")
THIMBLE_WALK(thimble_walk_clamped, THIMBLE_WALK_PACKED, THIMBLE_UNIT_SCALES(THIMBLE_ASM_PACKED), THIMBLE_UNIT_CLAMPS)
THIMBLE_WALK(thimble_walk_doubled, THIMBLE_WALK_DOUBLED, THIMBLE_UNIT_SCALES(THIMBLE_ASM_DOUBLED), THIMBLE_UNIT_CLAMPS)

#define THIMBLE_WALK_BYTES(p) ((p)->packed ? THIMBLE_GCC_OR(68u, 72u) : 92u)

/* A run of `groups` in the image or, where there is no place in it, outside. Returns what follows it in the list. */
THIMBLE_INLINE thimble_run *thimble_run_of(const THIMBLE_FLASH thimble_output *p, const thimble_walk *walk,
                                           thimble_run *run, int32_t at, int32_t groups) {
  run->cells = at >= 0 ? walk->in + at : walk->outside;
  run->stop = run->cells + 4 * groups;
  run->entry = ((uint32_t)-groups & 7u) * THIMBLE_WALK_BYTES(p) + 1u; /* of Thumb code */
  return run + 1;
}

THIMBLE_INLINE const int8_t *thimble_run_cells(const thimble_walk *walk, const thimble_run *run) {
  (void)walk;
  return run->cells;
}
THIMBLE_INLINE int32_t thimble_run_groups(const thimble_run *run) { return (int32_t)(run->stop - run->cells) / 4; }

#else

THIMBLE_INLINE thimble_run *thimble_run_of(const THIMBLE_FLASH thimble_output *p, const thimble_walk *walk,
                                           thimble_run *run, int32_t at, int32_t groups) {
  (void)p;
  (void)walk;
  run->cells = at;
  run->stop = groups;
  return run + 1;
}

THIMBLE_INLINE const int8_t *thimble_run_cells(const thimble_walk *walk, const thimble_run *run) {
  return run->cells >= 0 ? walk->in + run->cells : walk->outside;
}
THIMBLE_INLINE int32_t thimble_run_groups(const thimble_run *run) { return run->stop; }

#endif

/* `count` filters whose words are interleaved. */
THIMBLE_INLINE void thimble_walk_block(const THIMBLE_FLASH thimble_output *p, thimble_walk *walk, int32_t count) {
  const thimble_word *words = walk->tile.filters + count;
  const int32_t *scales = (const int32_t *)(words + count * walk->tile.groups);
  for (int32_t f = 0; f < count; f++) {
    const thimble_word *word = words + f;
    int32_t sum = (int32_t)walk->tile.filters[f];
    for (const thimble_run *run = (const thimble_run *)walk->tile.patch; run != walk->last; run++) {
      const int8_t *cells = thimble_run_cells(walk, run);
      for (int32_t i = thimble_run_groups(run); i > 0; i--) {
        uint32_t first, second;
        thimble_widen(thimble_load(cells), p->packed, &first, &second);
        sum = thimble_dual_mac(first, p->packed ? *word : thimble_odd(*word), sum);
        sum = thimble_dual_mac(second, thimble_even(*word), sum);
        cells += 4;
        word += count;
      }
    }
    *walk->tile.out[0]++ = thimble_requantize(p, sum, scales + THIMBLE_SCALE_WORDS * f);
  }
  walk->tile.filters = (const thimble_word *)(scales + THIMBLE_SCALE_WORDS * count);
}

/* All filters over the window, in fours and the rest one by one. */
THIMBLE_INLINE void thimble_walk_run(const THIMBLE_FLASH thimble_output *p, thimble_walk *walk,
                                     const THIMBLE_FLASH int32_t *filters, int8_t *out, int32_t channels) {
  const int32_t whole = channels / THIMBLE_UNIT_FILTERS * THIMBLE_UNIT_FILTERS;
  thimble_tile *tile = &walk->tile;
  tile->filters = (const thimble_word *)filters;
  tile->out[0] = out;
  tile->end = out + whole;
#if defined(THIMBLE_DOT_ASSEMBLY)
  if (whole == 0) {
  } else if (!p->packed) {
    thimble_walk_doubled(tile);
  } else if (!THIMBLE_FULL_RANGE(p)) {
    thimble_walk_clamped(tile);
  } else {
    thimble_walk_packed(tile);
  }
#else
  while (tile->out[0] != tile->end) {
    thimble_walk_block(p, walk, THIMBLE_UNIT_FILTERS);
  }
#endif
  while (tile->out[0] != out + channels) {
    thimble_walk_block(p, walk, 1);
  }
}

/* A walk over a list of runs. */
THIMBLE_INLINE thimble_walk thimble_walk_of(const THIMBLE_FLASH thimble_output *p, const thimble_run *runs,
                                            int32_t groups, const int8_t *in, const int8_t *outside) {
  const uint32_t low = (uint32_t)(p->low & 0xFFFF), high = (uint32_t)(p->high & 0xFFFF);
  const thimble_walk walk = {
      {{NULL, NULL, NULL}, (const thimble_word *)runs, 0, NULL, NULL, low | low << 16, high | high << 16, groups, NULL},
      NULL, runs, in, outside};
  return walk;
}

#endif
