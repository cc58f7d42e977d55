/* SPDX-License-Identifier: Apache-2.0 */
/* One vector of int8 times a matrix, with packed arithmetic: four rows of the matrix at once, each word of it read once.
 *
 * The vector is spread out as int16. Rows come in fours, their words interleaved; up to three rows that are left stand
 * alone. Zero points are in the bias. Input and output must not overlap. Writes in order. */
#ifndef THIMBLE_FULLY_CONNECTED_S8_DSP_H
#define THIMBLE_FULLY_CONNECTED_S8_DSP_H

#include "dot_dsp.h"
#include "requantize_dsp.h"

typedef struct {
  int32_t depth, units;
  int32_t groups; /* of four elements, the last one filled up with zeros */
  thimble_output output;
} thimble_fully_connected_s8_dsp_params;

/* The vector as a patch of one pixel. */
THIMBLE_INLINE void thimble_spread_vector(const int8_t *in, thimble_word *patch, int32_t depth) {
  int32_t i = 0;
  THIMBLE_UNROLL(4)
  for (; i + 4 <= depth; i += 4) {
    const uint32_t x = thimble_load(in + i);
    *patch++ = thimble_even(x);
    *patch++ = thimble_odd(x);
  }
  if (i < depth) {
    uint32_t x = 0;
    for (int32_t j = 0; j < depth - i; j++) {
      x |= (uint32_t)(uint8_t)in[i + j] << 8 * j;
    }
    patch[0] = thimble_even(x);
    patch[1] = thimble_odd(x);
  }
}

/* `channels` holds bias, multiplier, offset and shift per unit. Work space: two words per group. */
THIMBLE_KERNEL void thimble_fully_connected_s8_dsp(const THIMBLE_FLASH thimble_fully_connected_s8_dsp_params *p,
                                                   const int8_t *in, const THIMBLE_FLASH int32_t *weights,
                                                   const THIMBLE_FLASH int32_t *channels, int8_t *out,
                                                   void *scratch) {
  thimble_word *patch = (thimble_word *)scratch;
  const thimble_word *rows = (const thimble_word *)weights;
  const THIMBLE_FLASH int32_t *channel = channels;
  thimble_spread_vector(in, patch, p->depth);
  int32_t unit = 0;
  for (; unit + 4 <= p->units; unit += 4) {
    const thimble_quad bias = {channel[0], channel[4], channel[8], channel[12]};
    const thimble_quad sum = thimble_four_dot(rows, patch, p->groups, bias);
    out[unit] = thimble_requantize(&p->output, sum.s00, channel + 1);
    out[unit + 1] = thimble_requantize(&p->output, sum.s01, channel + 5);
    out[unit + 2] = thimble_requantize(&p->output, sum.s10, channel + 9);
    out[unit + 3] = thimble_requantize(&p->output, sum.s11, channel + 13);
    rows += 4 * p->groups;
    channel += 16;
  }
  for (; unit < p->units; unit++) {
    int32_t sum = channel[0];
    for (int32_t i = 0; i < p->groups; i++) {
      sum = thimble_dual_mac(patch[2 * i], thimble_even(rows[i]), sum);
      sum = thimble_dual_mac(patch[2 * i + 1], thimble_odd(rows[i]), sum);
    }
    out[unit] = thimble_requantize(&p->output, sum, channel + 1);
    rows += p->groups;
    channel += 4;
  }
}

#endif
