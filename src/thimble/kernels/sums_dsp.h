/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of rows of a matrix times a vector with packed arithmetic, in the forms of dot_dsp.h, as they are. */
#ifndef THIMBLE_SUMS_DSP_H
#define THIMBLE_SUMS_DSP_H

#include "dot_dsp.h"

typedef struct {
  int32_t depth;
  int32_t groups; /* of four elements, the last one filled up with zeros */
  thimble_output output;
} thimble_rows_dsp;

/* A vector as a patch of two words per group. */
THIMBLE_INLINE void thimble_rows_patch(const THIMBLE_FLASH thimble_rows_dsp *p, const int8_t *in, thimble_word *patch) {
  const int32_t whole = p->depth / 4 * 4;
  patch = thimble_spread(in, patch, p->depth / 4, 1, p->output.packed);
  if (whole < p->depth) {
    uint32_t x = 0;
    for (int32_t j = 0; j < p->depth - whole; j++) {
      x |= (uint32_t)(uint8_t)in[whole + j] << 8 * j;
    }
    thimble_widen(x, p->output.packed, patch, patch + 1);
  }
}

#if defined(THIMBLE_DOT_ASSEMBLY)

#define THIMBLE_SUMS_END THIMBLE_ASM_TILE "ldr r9, [r12]\n\tstmia.w r9!, {r2, r3, r4, r5}\n\tstr r9, [r12]\n\t"

THIMBLE_DOT(thimble_sums_packed, 1, THIMBLE_UNIT_BEGIN, THIMBLE_UNIT_PACKED, 56, THIMBLE_UNIT_COMPARE, "",
            THIMBLE_SUMS_END)
THIMBLE_DOT(thimble_sums_doubled, 1, THIMBLE_UNIT_BEGIN, THIMBLE_UNIT_DOUBLED, 76, THIMBLE_UNIT_COMPARE, "",
            THIMBLE_SUMS_END)

#else

THIMBLE_INLINE void thimble_rows_block(thimble_tile *tile, int32_t packed) {
  while (tile->out[0] != tile->end) {
    const thimble_word *words = tile->filters + THIMBLE_UNIT_FILTERS;
    for (int32_t f = 0; f < THIMBLE_UNIT_FILTERS; f++) {
      int32_t sum = (int32_t)tile->filters[f];
      for (int32_t i = 0; i < tile->groups; i++) {
        const uint32_t w = words[THIMBLE_UNIT_FILTERS * i + f];
        sum = thimble_dual_mac(tile->patch[2 * i], packed ? w : thimble_odd(w), sum);
        sum = thimble_dual_mac(tile->patch[2 * i + 1], thimble_even(w), sum);
      }
      memcpy(tile->out[0], &sum, sizeof sum);
      tile->out[0] += sizeof sum;
    }
    tile->filters = words + THIMBLE_UNIT_FILTERS * tile->groups;
  }
}
#define thimble_sums_packed(tile) thimble_rows_block(tile, 1)
#define thimble_sums_doubled(tile) thimble_rows_block(tile, 0)

#endif

/* The next `count` rows, a multiple of four, over a patch. For each four rows there are four biases and their words,
 * interleaved. Returns what follows. */
THIMBLE_INLINE const thimble_word *thimble_rows_sums(const THIMBLE_FLASH thimble_rows_dsp *p,
                                                     const thimble_word *rows, const thimble_word *patch,
                                                     int32_t *sums, int32_t count) {
  thimble_tile tile;
  tile.out[0] = (int8_t *)sums;
  tile.end = (const int8_t *)(sums + count);
  tile.patch = patch;
  tile.filters = rows;
  tile.groups = p->groups;
  if (p->output.packed) {
    thimble_sums_packed(&tile);
  } else {
    thimble_sums_doubled(&tile);
  }
  return tile.filters;
}

#endif
