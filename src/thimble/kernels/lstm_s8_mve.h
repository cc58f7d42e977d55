/* SPDX-License-Identifier: Apache-2.0 */
/* UNIDIRECTIONAL_SEQUENCE_LSTM on int8 with Helium, four units at a time; plain C with the same results elsewhere.
 * Weights, biases and table are those of lstm.h, up to a multiple of four units; weights have no zero points. */
#ifndef THIMBLE_LSTM_S8_MVE_H
#define THIMBLE_LSTM_S8_MVE_H

#include "lstm.h"
#include "rows_mve.h"

#if defined(THIMBLE_MVE)

THIMBLE_INLINE int32x4_t thimble_lstm_table_mve(const int16_t *table, int32x4_t x, int32_t bits) {
  const uint32x4_t index = vreinterpretq_u32_s32(vshlq_r_s32(x, -bits));
  const int32x4_t low = vldrhq_gather_shifted_offset_s32(table, index);
  const int32x4_t high = vldrhq_gather_shifted_offset_s32(table + 1, index);
  const int32x4_t part = vandq_s32(x, vdupq_n_s32(((int32_t)1 << bits) - 1));
  return vaddq_s32(vshlq_r_s32(low, bits), vmulq_s32(part, vsubq_s32(high, low)));
}

THIMBLE_INLINE int32x4_t thimble_lstm_sigmoid_mve(const int16_t *table, int32x4_t x) {
  const int32x4_t y = thimble_lstm_table_mve(table, vmulq_n_s32(vabsq_s32(x), 3), 9);
  return vshrq_n_s32(vaddq_n_s32(veorq_s32(y, vshrq_n_s32(x, 31)), ((int32_t)1 << 24) + 512), 10);
}

THIMBLE_INLINE int32x4_t thimble_lstm_squash_mve(const int16_t *table, int32x4_t x, int32_t multiplier,
                                                 int32_t shift) {
  const int32x4_t scaled = vrshlq_n_s32(vmulq_n_s32(x, multiplier), -shift);
  const int32x4_t size = vminq_s32(vabsq_s32(scaled), vdupq_n_s32(0xFFFF));
  const int32x4_t y = thimble_lstm_table_mve(table, size, 8);
  return vshrq_n_s32(vaddq_n_s32(veorq_s32(y, vshrq_n_s32(scaled, 31)), 128), 8);
}

/* Matrix `m`, of four units, in Q3.12. */
THIMBLE_INLINE int32x4_t thimble_lstm_fed_mve(const thimble_lstm_params *p, int32_t m, const int8_t *in, int32_t depth,
                                              const int8_t *weights, const int32_t *biases) {
  const int32_t step = 4 * (p->shape.depth + p->shape.units);
  const int32x4_t sums = thimble_rows_mve(in, weights, step, depth, biases + m * p->biases);
  return thimble_s16_mve(thimble_rescale_mve(sums, p->multiplier[m], p->shift[m]));
}

/* Four units or fewer of a moment. */
THIMBLE_INLINE void thimble_lstm_units_mve(const thimble_lstm_params *p, const int8_t *in, const int8_t *hidden,
                                           const int8_t *weights, const int32_t *biases, const int16_t *table,
                                           int32_t count, int8_t *made, int16_t *cells) {
  const thimble_lstm_cell *cell = &p->cell;
  const mve_pred16_t lanes = vctp32q((uint32_t)count);
  int32x4_t gates[4];
  THIMBLE_UNROLL(4)
  for (int32_t g = 0; g < 4; g++) {
    const int8_t *rows = weights + g * (p->shape.depth + p->shape.units);
    const int32x4_t fed = thimble_lstm_fed_mve(p, 2 * g, in, p->shape.depth, rows, biases);
    const int32x4_t back = thimble_lstm_fed_mve(p, 2 * g + 1, hidden, p->shape.units, rows + p->shape.depth, biases);
    const int32x4_t sum = thimble_s16_mve(vaddq_s32(fed, back));
    gates[g] = g == THIMBLE_LSTM_CELL_GATE ? thimble_lstm_squash_mve(table, sum, 3, 0)
                                           : thimble_lstm_sigmoid_mve(table, sum);
  }
  const int32x4_t old = vmulq_s32(gates[1], vldrhq_z_s32(cells, lanes)), next = vmulq_s32(gates[0], gates[2]);
  const int32x4_t kept = thimble_s16_mve(thimble_rescale_mve(old, cell->keep_multiplier, cell->keep_shift));
  const int32x4_t added = thimble_s16_mve(thimble_rescale_mve(next, cell->admit_multiplier, cell->admit_shift));
  int32x4_t v = vmaxq_s32(vaddq_s32(kept, added), vdupq_n_s32(cell->low));
  v = vminq_s32(v, vdupq_n_s32(cell->high));
  vstrhq_p_s32(cells, v, lanes);
  v = vmulq_s32(thimble_lstm_squash_mve(table, v, cell->squash_multiplier, cell->squash_shift), gates[3]);
  v = thimble_rescale_mve(v, cell->emit_multiplier, cell->emit_shift);
  v = vminq_s32(vmaxq_s32(v, vdupq_n_s32(cell->out_low)), vdupq_n_s32(cell->out_high));
  vstrbq_p_s32(made, vaddq_n_s32(v, cell->out_zero), lanes);
}

#endif

THIMBLE_KERNEL void thimble_lstm_s8_mve(const THIMBLE_FLASH thimble_lstm_params *p, const int8_t *in,
                                        const int8_t *hidden_before, const int16_t *cells_before,
                                        const THIMBLE_FLASH int8_t *weights, const THIMBLE_FLASH int32_t *biases,
                                        const THIMBLE_FLASH int16_t *table, int8_t *out, int8_t *hidden,
                                        int16_t *cells) {
#if defined(THIMBLE_MVE)
  const thimble_lstm_shape *s = &p->shape;
  (void)hidden_before;
  (void)cells_before;
  for (int32_t b = 0; b < s->sequences; b++, hidden += s->units, cells += s->units) {
    for (int32_t t = 0; t < s->moments; t++) {
      const int32_t vector = b * s->sequence + t * s->moment;
      int8_t *made = out + vector * s->units;
      for (int32_t u = 0; u < s->units; u += 4) {
        thimble_lstm_units_mve(p, in + vector * s->depth, hidden, weights + 4 * u * (s->depth + s->units), biases + u,
                               table, s->units - u, made + u, cells + u);
      }
      thimble_copy_bytes(hidden, made, s->units);
    }
  }
#else
  thimble_lstm_s8(p, in, hidden_before, cells_before, weights, biases, table, out, hidden, cells);
#endif
}

#endif
