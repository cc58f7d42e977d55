/* SPDX-License-Identifier: Apache-2.0 */
/* UNIDIRECTIONAL_SEQUENCE_LSTM. For each sequence, moment and unit in order the four gates (input, forget, cell,
 * output) are computed one after the other, then the cell is updated in place and the output written; when all units
 * of a moment are done, they become the hidden state. Weights: for every unit and gate those of the input, then those
 * of the hidden state. Input and output must not overlap; the states come as what is read and as what is written. */
#ifndef THIMBLE_LSTM_H
#define THIMBLE_LSTM_H

#include <math.h>

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

/* Two matrices per gate: that for the input, then that for the hidden state. */
typedef struct {
  thimble_lstm_shape shape;
  int32_t zero[8], multiplier[8], shift[8]; /* zero points of weights; scales from sums to Q3.12 */
  int32_t keep_multiplier, keep_shift, admit_multiplier, admit_shift, emit_multiplier, emit_shift;
  int32_t squash_multiplier, squash_shift; /* from cells to the steps of the table, as in thimble_lstm_squash */
  int32_t cell_low, cell_high;
  int32_t out_zero, low, high; /* the range is that before `out_zero` is added */
  int32_t wide;                /* activations of int16, biases and sums of int64 */
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

/* Sums of products modulo 2^32 (int8) and of 64 bits (int16). */
THIMBLE_INLINE int64_t thimble_lstm_sum(const void *in, const THIMBLE_FLASH int8_t *weights, int32_t zero,
                                        int32_t count, int32_t wide) {
  if (wide) {
    int64_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
      sum += ((const int16_t *)in)[i] * (weights[i] - zero);
    }
    return sum;
  }
  uint32_t sum = 0;
  for (int32_t i = 0; i < count; i++) {
    sum += (uint32_t)(((const int8_t *)in)[i] * (weights[i] - zero));
  }
  return (int32_t)sum;
}

THIMBLE_INLINE int32_t thimble_lstm_s16(int32_t x) { return thimble_clamp(x, INT16_MIN, INT16_MAX); }

/* Matrix `m` (of two per gate) in Q3.12: one row of it by a vector, plus a bias. */
THIMBLE_INLINE int32_t thimble_lstm_fed(const THIMBLE_FLASH thimble_lstm_params *p, int32_t m, const void *in,
                                        const THIMBLE_FLASH int8_t *weights, int32_t count, int64_t bias) {
  const int64_t sum = thimble_lstm_sum(in, weights, p->zero[m], count, p->wide) + bias;
  return thimble_lstm_s16(thimble_scale_sum(sum, p->multiplier[m], p->shift[m], p->wide));
}

/* The table of the sigmoid (256 entries in Q16, in steps of 1/24) at x * 2^-bits, times 2^bits. */
THIMBLE_INLINE int32_t thimble_lstm_table(const THIMBLE_FLASH uint16_t *table, int32_t x, int32_t bits, int32_t end) {
  const int32_t index = x >> bits;
  if (index >= 255) {
    return end;
  }
  const int32_t low = table[index], high = table[index + 1];
  return (int32_t)((uint32_t)low << bits) + (x & ((1 << bits) - 1)) * (high - low);
}

/* Sigmoid in Q0.15 of Q3.12.
 * Source: Logistic, tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h. */
THIMBLE_INLINE int32_t thimble_lstm_sigmoid(const THIMBLE_FLASH uint16_t *table, int32_t x) {
  const int32_t y = thimble_lstm_table(table, 3 * (x < 0 ? -x : x), 9, (int32_t)0x7FFF * 1024);
  return x < 0 ? (((int32_t)1 << 25) - y + 511) >> 10 : (y + 512) >> 10;
}

/* Tanh in Q0.15 of x * multiplier / 2^shift in steps of 1/12288, the nearest.
 * Source: Tanh, tensorflow/lite/kernels/internal/reference/integer_ops/tanh.h. */
THIMBLE_INLINE int32_t thimble_lstm_squash(const THIMBLE_FLASH uint16_t *table, int32_t x, int32_t multiplier,
                                      int32_t shift) {
  const int32_t scaled = (x * multiplier + (shift > 0 ? (int32_t)1 << (shift - 1) : 0)) >> shift;
  const int32_t y = thimble_lstm_table(table, scaled < 0 ? -scaled : scaled, 8, (int32_t)0xFFFF * 256);
  const int32_t half = (int32_t)1 << 23;
  return scaled < 0 ? (half - y + 127) >> 8 : (y - half + 128) >> 8;
}

/* The four gates of a unit in Q0.15. `biases`: two per gate, from element `first` on; int64 if `wide`, else int32. */
THIMBLE_INLINE void thimble_lstm_gates(const THIMBLE_FLASH thimble_lstm_params *p, const void *in, const void *hidden,
                                       const THIMBLE_FLASH int8_t *weights, const THIMBLE_FLASH void *biases,
                                       int32_t first, const THIMBLE_FLASH uint16_t *table, int32_t gates[4]) {
  for (int32_t g = 0; g < 4; g++) {
    const int32_t m = 2 * g;
    const int32_t fed =
        thimble_lstm_fed(p, m, in, weights, p->shape.depth, thimble_wide_at(biases, first + m, p->wide));
    weights += p->shape.depth;
    const int32_t back =
        thimble_lstm_fed(p, m + 1, hidden, weights, p->shape.units, thimble_wide_at(biases, first + m + 1, p->wide));
    weights += p->shape.units;
    const int32_t sum = thimble_lstm_s16(fed + back);
    gates[g] = g == THIMBLE_LSTM_CELL_GATE ? thimble_lstm_squash(table, sum, 3, 0) : thimble_lstm_sigmoid(table, sum);
  }
}

/* On int8 or int16 with weights of int8 and cells of int16. */
THIMBLE_KERNEL void thimble_lstm_s8(const THIMBLE_FLASH thimble_lstm_params *p, const void *in,
                                    const void *hidden_before, const int16_t *cells_before,
                                    const THIMBLE_FLASH int8_t *weights, const THIMBLE_FLASH void *biases,
                                    const THIMBLE_FLASH uint16_t *table, void *out, void *hidden, int16_t *cells) {
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
        int32_t gates[4];
        thimble_lstm_gates(p, (const uint8_t *)in + vector * s->depth * size, kept, weights + 4 * u * row,
                           biases, 8 * u, table, gates);
        const int32_t old = thimble_lstm_s16(thimble_rescale(gates[1] * cells[u], p->keep_multiplier, p->keep_shift));
        const int32_t add =
            thimble_lstm_s16(thimble_rescale(gates[0] * gates[2], p->admit_multiplier, p->admit_shift));
        const int32_t cell = thimble_clamp(old + add, p->cell_low, p->cell_high);
        cells[u] = (int16_t)cell;
        const int32_t squashed = thimble_lstm_squash(table, cell, p->squash_multiplier, p->squash_shift);
        const int32_t scaled = thimble_rescale(squashed * gates[3], p->emit_multiplier, p->emit_shift);
        const int32_t result = thimble_clamp(scaled, p->low, p->high) + p->out_zero;
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
