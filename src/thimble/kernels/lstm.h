/* SPDX-License-Identifier: Apache-2.0 */
/* UNIDIRECTIONAL_SEQUENCE_LSTM. For each sequence, moment and unit in order the four gates (input, forget, cell,
 * output) are computed one after the other, then the cell is updated in place and the output written; when all units
 * of a moment are done, they are the hidden state of the next one. Weights: for every unit and gate those of the input,
 * then those of the hidden state. Input and output must not overlap; the states come as what is read and as what is
 * written. */
#ifndef THIMBLE_LSTM_H
#define THIMBLE_LSTM_H

#include <math.h>

#include "rescale_small.h"
#include "saturate.h"
#include "wide.h"

#define THIMBLE_LSTM_CELL_GATE 2

typedef struct {
  int32_t sequences, moments, depth, units;
  int32_t sequence, moment; /* vectors from one sequence to the next, and from one moment to the next */
} thimble_lstm_shape;

typedef struct {
  thimble_lstm_shape shape;
  int32_t clip; /* whether cells are clipped */
  float bound;
} thimble_lstm_f32_params;

/* What becomes of the gates, for cells of int16. */
typedef struct {
  int32_t keep_multiplier, keep_shift, admit_multiplier, admit_shift, emit_multiplier, emit_shift;
  int32_t squash_multiplier, squash_shift; /* from cells to the steps of the table, as in thimble_lstm_squash */
  int32_t low, high;                       /* of cells */
  int32_t out_zero, out_low, out_high;     /* the range is that before `out_zero` is added */
} thimble_lstm_cell;

/* Two matrices per gate: that for the input, then that for the hidden state. */
typedef struct {
  thimble_lstm_shape shape;
  thimble_lstm_cell cell;
  int32_t zero[8], multiplier[8], shift[8]; /* zero points of weights; scales from sums to Q3.12 */
  int32_t biases;                           /* from one matrix to the next */
  int32_t wide;                             /* activations of int16, biases and sums of int64 */
} thimble_lstm_params;

THIMBLE_INLINE float thimble_lstm_f32_sum(const float *in, const THIMBLE_FLASH float *weights, int32_t count,
                                          float sum) {
  for (int32_t i = 0; i < count; i++) {
    sum += in[i] * weights[i];
  }
  return sum;
}

/* `biases`: four per unit. */
THIMBLE_KERNEL void thimble_lstm_f32(const THIMBLE_FLASH thimble_lstm_f32_params *p, const float *in,
                                     const float *hidden_before, const float *cells_before,
                                     const THIMBLE_FLASH float *weights, const THIMBLE_FLASH float *biases, float *out,
                                     float *hidden, float *cells) {
  const THIMBLE_FLASH thimble_lstm_shape *s = &p->shape;
  const int32_t row = s->depth + s->units;
  (void)hidden_before;
  (void)cells_before;
  for (int32_t b = 0; b < s->sequences; b++, hidden += s->units, cells += s->units) {
    for (int32_t t = 0; t < s->moments; t++) {
      const int32_t vector = b * s->sequence + t * s->moment;
      float *made = out + vector * s->units;
      for (int32_t u = 0; u < s->units; u++) {
        float gates[4];
        for (int32_t g = 0; g < 4; g++) {
          const THIMBLE_FLASH float *taps = weights + (4 * u + g) * row;
          const float fed = thimble_lstm_f32_sum(in + vector * s->depth, taps, s->depth, 0.0f) + biases[4 * u + g];
          const float sum = fed + thimble_lstm_f32_sum(hidden, taps + s->depth, s->units, 0.0f);
          gates[g] = g == THIMBLE_LSTM_CELL_GATE ? tanhf(sum) : 1.0f / (1.0f + expf(-sum));
        }
        float cell = gates[1] * cells[u] + gates[0] * gates[2];
        if (p->clip) {
          cell = cell < -p->bound ? -p->bound : cell > p->bound ? p->bound : cell;
        }
        cells[u] = cell;
        made[u] = tanhf(cell) * gates[3];
      }
      memcpy(hidden, made, (size_t)s->units * sizeof *made);
    }
  }
}

/* A row by a vector of int16. */
THIMBLE_INLINE int64_t thimble_lstm_sum_s16(const int16_t *in, const THIMBLE_FLASH int8_t *weights, int32_t zero,
                                            int32_t count) {
  int64_t sum = 0;
  for (int32_t i = 0; i < count; i++) {
    sum += in[i] * (weights[i] - zero);
  }
  return sum;
}

/* Matrix `m` of a unit's four gates, whose rows are `row` elements apart, by a vector of int8; modulo 2^32. */
THIMBLE_INLINE void thimble_lstm_sums_s8(const THIMBLE_FLASH thimble_lstm_params *p, int32_t m, const int8_t *in,
                                         const THIMBLE_FLASH int8_t *weights, int32_t row, int32_t count,
                                         int64_t sums[4]) {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  for (int32_t i = 0; i < count; i++, weights++) {
    const int32_t x = in[i];
    a += (uint32_t)(x * (weights[0] - p->zero[m]));
    b += (uint32_t)(x * (weights[row] - p->zero[m + 2]));
    c += (uint32_t)(x * (weights[2 * row] - p->zero[m + 4]));
    d += (uint32_t)(x * (weights[3 * row] - p->zero[m + 6]));
  }
  sums[0] = (int32_t)a;
  sums[1] = (int32_t)b;
  sums[2] = (int32_t)c;
  sums[3] = (int32_t)d;
}

THIMBLE_INLINE int32_t thimble_lstm_s16(int32_t x) { return thimble_saturated(x, INT16_MIN, INT16_MAX); }

/* The table of the sigmoid (257 entries in Q16, less 1/2, in steps of 1/24) at x * 2^-bits, times 2^bits. */
THIMBLE_INLINE int32_t thimble_lstm_table(const THIMBLE_FLASH int16_t *table, int32_t x, int32_t bits) {
  const int32_t index = x >> bits, unit = (int32_t)1 << bits;
  const int32_t low = table[index], high = table[index + 1];
  return low * unit + (x & (unit - 1)) * (high - low);
}

/* Sigmoid in Q0.15 of Q3.12. Of negative numbers ~y is -y less the bit that rounds ties up.
 * Source: Logistic, tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h. */
THIMBLE_INLINE int32_t thimble_lstm_sigmoid(const THIMBLE_FLASH int16_t *table, int32_t x) {
  const int32_t sign = x >> 31;
  const int32_t y = thimble_lstm_table(table, 3 * ((x ^ sign) - sign), 9);
  return ((y ^ sign) + ((int32_t)1 << 24) + 512) >> 10;
}

/* Tanh in Q0.15 of x * multiplier / 2^shift in steps of 1/12288, the nearest. The last two entries are the same.
 * Source: Tanh, tensorflow/lite/kernels/internal/reference/integer_ops/tanh.h. */
THIMBLE_INLINE int32_t thimble_lstm_squash(const THIMBLE_FLASH int16_t *table, int32_t x, int32_t multiplier,
                                           int32_t shift) {
  const int32_t scaled = (x * multiplier + (shift > 0 ? (int32_t)1 << (shift - 1) : 0)) >> shift;
  const int32_t sign = scaled >> 31;
  const int32_t y = thimble_lstm_table(table, thimble_min((scaled ^ sign) - sign, 0xFFFF), 8);
  return ((y ^ sign) + 128) >> 8;
}

/* What gate `g` answers in Q0.15 to the two numbers that it is fed. */
THIMBLE_INLINE int32_t thimble_lstm_gate(const THIMBLE_FLASH int16_t *table, int32_t g, int32_t fed, int32_t back) {
  const int32_t sum = thimble_lstm_s16(fed + back);
  return g == THIMBLE_LSTM_CELL_GATE ? thimble_lstm_squash(table, sum, 3, 0) : thimble_lstm_sigmoid(table, sum);
}

/* What unit `u` of the four gates is fed, in Q3.12, by the input (`m` 0) or by the hidden state (1). `biases`
 * [gate, m, unit]: int64 if `wide`, else int32. */
THIMBLE_INLINE void thimble_lstm_fed(const THIMBLE_FLASH thimble_lstm_params *p, int32_t m, const void *in,
                                     const THIMBLE_FLASH int8_t *weights, const THIMBLE_FLASH void *biases, int32_t u,
                                     int32_t fed[4]) {
  const int32_t row = p->shape.depth + p->shape.units, count = m ? p->shape.units : p->shape.depth;
  int64_t sums[4];
  if (!p->wide) {
    thimble_lstm_sums_s8(p, m, (const int8_t *)in, weights, row, count, sums);
  }
  THIMBLE_UNROLL(4)
  for (int32_t g = 0; g < 4; g++) {
    const int32_t at = 2 * g + m;
    if (p->wide) {
      sums[g] = thimble_lstm_sum_s16((const int16_t *)in, weights + g * row, p->zero[at], count);
    }
    const int64_t sum = sums[g] + thimble_wide_at(biases, at * p->biases + u, p->wide);
    fed[g] = thimble_lstm_s16(thimble_scale_sum(sum, p->multiplier[at], p->shift[at], p->wide));
  }
}

/* thimble_rescale of a product of two int16, of which one is never the least: below 2^30. */
THIMBLE_INLINE int32_t thimble_lstm_scaled(int32_t x, int32_t multiplier, int32_t shift) {
  return shift > 0 ? thimble_rescale(x, multiplier, shift) : thimble_rescale_small(x, multiplier, shift);
}

/* Move a cell on; returns the output. */
THIMBLE_INLINE int32_t thimble_lstm_step(const THIMBLE_FLASH thimble_lstm_cell *p, const int32_t gates[4],
                                         const THIMBLE_FLASH int16_t *table, int16_t *cell) {
  const int32_t kept = thimble_lstm_scaled(gates[1] * *cell, p->keep_multiplier, p->keep_shift);
  const int32_t added = thimble_lstm_scaled(gates[0] * gates[2], p->admit_multiplier, p->admit_shift);
  const int32_t sum = thimble_lstm_s16(kept) + thimble_lstm_s16(added);
  *cell = (int16_t)thimble_saturated(sum, p->low, p->high);
  const int32_t squashed = thimble_lstm_squash(table, *cell, p->squash_multiplier, p->squash_shift);
  const int32_t made = thimble_lstm_scaled(squashed * gates[3], p->emit_multiplier, p->emit_shift);
  return thimble_clamp(made, p->out_low, p->out_high) + p->out_zero;
}

/* On int8 or int16 with weights of int8 and cells of int16. */
THIMBLE_KERNEL void thimble_lstm_s8(const THIMBLE_FLASH thimble_lstm_params *p, const void *in,
                                    const void *hidden_before, const int16_t *cells_before,
                                    const THIMBLE_FLASH int8_t *weights, const THIMBLE_FLASH void *biases,
                                    const THIMBLE_FLASH int16_t *table, void *out, void *hidden, int16_t *cells) {
  const THIMBLE_FLASH thimble_lstm_shape *s = &p->shape;
  const int32_t row = s->depth + s->units, size = p->wide ? 2 : 1; /* bytes of an activation */
  (void)hidden_before;
  (void)cells_before;
  for (int32_t b = 0; b < s->sequences; b++, cells += s->units) {
    uint8_t *kept = (uint8_t *)hidden + b * s->units * size;
    for (int32_t t = 0; t < s->moments; t++) {
      const int32_t vector = b * s->sequence + t * s->moment;
      uint8_t *made = (uint8_t *)out + vector * s->units * size;
      for (int32_t u = 0; u < s->units; u++) {
        const THIMBLE_FLASH int8_t *rows = weights + 4 * u * row;
        int32_t gates[4], back[4];
        thimble_lstm_fed(p, 0, (const uint8_t *)in + vector * s->depth * size, rows, biases, u, gates);
        thimble_lstm_fed(p, 1, kept, rows + s->depth, biases, u, back);
        THIMBLE_UNROLL(4)
        for (int32_t g = 0; g < 4; g++) {
          gates[g] = thimble_lstm_gate(table, g, gates[g], back[g]);
        }
        const int32_t result = thimble_lstm_step(&p->cell, gates, table, cells + u);
        if (p->wide) {
          ((int16_t *)(void *)made)[u] = (int16_t)result;
        } else {
          ((int8_t *)made)[u] = (int8_t)result;
        }
      }
      memcpy(kept, made, (size_t)(s->units * size));
    }
  }
}

#endif
