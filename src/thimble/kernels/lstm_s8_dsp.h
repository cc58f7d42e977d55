/* SPDX-License-Identifier: Apache-2.0 */
/* UNIDIRECTIONAL_SEQUENCE_LSTM on int8 with packed arithmetic: the four gates of a unit at once, see lstm.h. */
#ifndef THIMBLE_LSTM_S8_DSP_H
#define THIMBLE_LSTM_S8_DSP_H

#include "lstm.h"
#include "sums_dsp.h"

typedef struct {
  thimble_lstm_shape shape;
  thimble_lstm_cell cell;
  thimble_rows_dsp input, hidden;
  int32_t scales[2 * 4 * THIMBLE_SCALE_WORDS]; /* [matrix, gate] */
} thimble_lstm_s8_dsp_params;

#define THIMBLE_LSTM_CHUNK 4 /* units whose sums are kept */

/* The sums of matrix `m` of a gate in Q3.12. */
THIMBLE_INLINE int32_t thimble_lstm_s8_dsp_fed(const THIMBLE_FLASH thimble_lstm_s8_dsp_params *p, int32_t m,
                                               int32_t g, int32_t sum) {
  const THIMBLE_FLASH int32_t *scale = p->scales + (4 * m + g) * THIMBLE_SCALE_WORDS;
  const THIMBLE_FLASH thimble_output *output = m ? &p->hidden.output : &p->input.output;
  return thimble_lstm_s16(thimble_scaled_sum(output, sum, scale[0], scale[1], scale[2]));
}

/* Rows of both matrices: those of a unit's four gates together. Work space: two words per group of both vectors. */
THIMBLE_KERNEL void thimble_lstm_s8_dsp(const THIMBLE_FLASH thimble_lstm_s8_dsp_params *p, const int8_t *in,
                                        const int8_t *hidden_before, const int16_t *cells_before,
                                        const THIMBLE_FLASH int32_t *input_rows,
                                        const THIMBLE_FLASH int32_t *hidden_rows, const THIMBLE_FLASH int16_t *table,
                                        int8_t *out, int8_t *hidden, int16_t *cells, void *scratch) {
  const THIMBLE_FLASH thimble_lstm_shape *s = &p->shape;
  thimble_word *const patch = (thimble_word *)scratch, *const back_patch = patch + 2 * p->input.groups;
  int32_t fed[4 * THIMBLE_LSTM_CHUNK], back[4 * THIMBLE_LSTM_CHUNK];
  (void)hidden_before;
  (void)cells_before;
  for (int32_t b = 0; b < s->sequences; b++, hidden += s->units, cells += s->units) {
    for (int32_t t = 0; t < s->moments; t++) {
      const int32_t vector = b * s->sequence + t * s->moment;
      const thimble_word *rows = (const thimble_word *)input_rows, *back_rows = (const thimble_word *)hidden_rows;
      int8_t *made = out + vector * s->units;
      thimble_rows_patch(&p->input, in + vector * s->depth, patch);
      thimble_rows_patch(&p->hidden, hidden, back_patch);
      for (int32_t u = 0; u < s->units; u += THIMBLE_LSTM_CHUNK) {
        const int32_t count = thimble_min(s->units - u, THIMBLE_LSTM_CHUNK);
        rows = thimble_rows_sums(&p->input, rows, patch, fed, 4 * count);
        back_rows = thimble_rows_sums(&p->hidden, back_rows, back_patch, back, 4 * count);
        for (int32_t i = 0; i < count; i++) {
          int32_t gates[4];
          THIMBLE_UNROLL(4)
          for (int32_t g = 0; g < 4; g++) {
            gates[g] = thimble_lstm_gate(table, g, thimble_lstm_s8_dsp_fed(p, 0, g, fed[4 * i + g]),
                                         thimble_lstm_s8_dsp_fed(p, 1, g, back[4 * i + g]));
          }
          made[u + i] = (int8_t)thimble_lstm_step(&p->cell, gates, table, cells + u + i);
        }
      }
      memcpy(hidden, made, (size_t)s->units);
    }
  }
}

#endif
