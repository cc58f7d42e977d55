/* SPDX-License-Identifier: Apache-2.0 */
/* One vector of int8 times a matrix, with packed arithmetic: four rows of the matrix at once, each word read once.
 *
 * The vector is spread out as int16 (see dot_dsp.h). Rows come in fours, their words interleaved; up to three rows that
 * are left stand alone. Zero points are in the bias. Input and output must not overlap. Writes in order. */
#ifndef THIMBLE_FULLY_CONNECTED_S8_DSP_H
#define THIMBLE_FULLY_CONNECTED_S8_DSP_H

#include "dot_dsp.h"

typedef struct {
  int32_t depth, units;
  int32_t groups; /* of four elements, the last one filled up with zeros */
  thimble_output output;
} thimble_fully_connected_s8_dsp_params;

/* The vector as a patch. */
THIMBLE_INLINE void thimble_spread_vector(const THIMBLE_FLASH thimble_fully_connected_s8_dsp_params *p,
                                          const int8_t *in, thimble_word *patch) {
  const int32_t whole = p->depth / 4 * 4, packed = p->output.packed;
  patch = thimble_spread(in, patch, p->depth / 4, 1, packed);
  if (whole < p->depth) {
    uint32_t x = 0;
    for (int32_t j = 0; j < p->depth - whole; j++) {
      x |= (uint32_t)(uint8_t)in[whole + j] << 8 * j;
    }
    thimble_widen(x, packed, patch, patch + 1);
  }
}

/* For each four rows, `filters` holds four biases, the words, and four scales; for rows alone the same of one. Work
 * space: two words per group. */
THIMBLE_KERNEL void thimble_fully_connected_s8_dsp(const THIMBLE_FLASH thimble_fully_connected_s8_dsp_params *p,
                                                   const int8_t *in, const THIMBLE_FLASH int32_t *filters,
                                                   int8_t *out, void *scratch) {
  thimble_word *patch = (thimble_word *)scratch;
  const uint32_t low = (uint32_t)(p->output.low & 0xFFFF), high = (uint32_t)(p->output.high & 0xFFFF);
  const thimble_word *rest = (const thimble_word *)filters;
  int32_t unit = p->units / THIMBLE_UNIT_FILTERS * THIMBLE_UNIT_FILTERS;
  thimble_spread_vector(p, in, patch);
  if (unit > 0) {
      thimble_tile tile = {{out, NULL, NULL}, patch,     0,   out + unit, rest, low | low << 16,
                         high | high << 16, p->groups, NULL};
    thimble_unit_run(&p->output, &tile);
    rest = tile.filters;
  }
  for (; unit < p->units; unit++) {
    rest = thimble_single(&p->output, rest, patch, p->groups, 1, out + unit);
  }
}

#endif
