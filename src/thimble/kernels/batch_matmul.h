/* SPDX-License-Identifier: Apache-2.0 */
/* BATCH_MATMUL: products of matrices a [rows, depth] and b [depth, columns], which may lie transposed, batch by batch.
 * Outputs are written once each, row by row; operands and output must not overlap. */
#ifndef THIMBLE_BATCH_MATMUL_H
#define THIMBLE_BATCH_MATMUL_H

#include "wide.h"

typedef struct {
  int32_t batches, rows, columns, depth;
  int32_t a_row, a_depth, b_depth, b_column; /* distances in elements */
} thimble_matmul_shape;

typedef struct {
  thimble_matmul_shape shape;
  int32_t a_zero, b_zero, out_zero;
  int32_t low, high; /* of results, before `out_zero` is added */
  int32_t multiplier, shift;
} thimble_batch_matmul_params;

typedef struct {
  thimble_matmul_shape shape;
} thimble_batch_matmul_f32_params;

/* `places` holds for every batch where its a and its b begin. Sums are float32. */
THIMBLE_KERNEL void thimble_batch_matmul_f32(const THIMBLE_FLASH thimble_batch_matmul_f32_params *p, const float *a,
                                             const THIMBLE_FLASH float *b, const THIMBLE_FLASH int32_t *places,
                                             float *out) {
  const THIMBLE_FLASH thimble_matmul_shape *s = &p->shape;
  for (int32_t batch = 0; batch < s->batches; batch++) {
    for (int32_t i = 0; i < s->rows; i++) {
      const float *row = a + places[2 * batch] + i * s->a_row;
      for (int32_t j = 0; j < s->columns; j++) {
        const THIMBLE_FLASH float *column = b + places[2 * batch + 1] + j * s->b_column;
        float sum = 0.0f;
        for (int32_t k = 0; k < s->depth; k++) {
          sum += row[k * s->a_depth] * column[k * s->b_depth];
        }
        *out++ = sum;
      }
    }
  }
}

/* The same on int8 with sums of int32, scaled by thimble_rescale. */
THIMBLE_KERNEL void thimble_batch_matmul_s8(const THIMBLE_FLASH thimble_batch_matmul_params *p, const int8_t *a,
                                            const THIMBLE_FLASH int8_t *b, const THIMBLE_FLASH int32_t *places,
                                            int8_t *out) {
  const THIMBLE_FLASH thimble_matmul_shape *s = &p->shape;
  for (int32_t batch = 0; batch < s->batches; batch++) {
    for (int32_t i = 0; i < s->rows; i++) {
      const int8_t *row = a + places[2 * batch] + i * s->a_row;
      for (int32_t j = 0; j < s->columns; j++) {
        const THIMBLE_FLASH int8_t *column = b + places[2 * batch + 1] + j * s->b_column;
        uint32_t sum = 0;
        for (int32_t k = 0; k < s->depth; k++) {
          sum += (uint32_t)((row[k * s->a_depth] - p->a_zero) * (column[k * s->b_depth] - p->b_zero));
        }
        const int32_t scaled = thimble_rescale((int32_t)sum, p->multiplier, p->shift);
        *out++ = (int8_t)(thimble_clamp(scaled, p->low, p->high) + p->out_zero);
      }
    }
  }
}

/* The same on int16 with sums of int64, scaled by thimble_scale_wide. */
THIMBLE_KERNEL void thimble_batch_matmul_s16(const THIMBLE_FLASH thimble_batch_matmul_params *p, const int16_t *a,
                                             const THIMBLE_FLASH int16_t *b, const THIMBLE_FLASH int32_t *places,
                                             int16_t *out) {
  const THIMBLE_FLASH thimble_matmul_shape *s = &p->shape;
  for (int32_t batch = 0; batch < s->batches; batch++) {
    for (int32_t i = 0; i < s->rows; i++) {
      const int16_t *row = a + places[2 * batch] + i * s->a_row;
      for (int32_t j = 0; j < s->columns; j++) {
        const THIMBLE_FLASH int16_t *column = b + places[2 * batch + 1] + j * s->b_column;
        int64_t sum = 0;
        for (int32_t k = 0; k < s->depth; k++) {
          sum += (int64_t)(row[k * s->a_depth] - p->a_zero) * (column[k * s->b_depth] - p->b_zero);
        }
        const int32_t scaled = thimble_scale_wide(sum, p->multiplier, p->shift);
        *out++ = (int16_t)(thimble_clamp(scaled, p->low, p->high) + p->out_zero);
      }
    }
  }
}

#endif
