/* SPDX-License-Identifier: Apache-2.0 */
/* int8 ADD and MUL without broadcasting, and SOFTMAX, by CMSIS-NN. Elements are written in order, each after it was
 * read: the output may be the bytes of either input. */
#ifndef THIMBLE_CMSIS_NN_ELEMENTWISE_H
#define THIMBLE_CMSIS_NN_ELEMENTWISE_H

#include "cmsis_nn.h"

typedef struct {
  int32_t offset, multiplier, shift;
} thimble_cmsis_nn_scaled;

typedef struct {
  int32_t elements, bits; /* by which the operands are shifted left first */
  thimble_cmsis_nn_scaled a, b, out;
  int32_t low, high;
} thimble_cmsis_nn_pair_params;

THIMBLE_KERNEL void thimble_cmsis_nn_add(const thimble_cmsis_nn_pair_params *p, const int8_t *a, const int8_t *b,
                                         int8_t *out) {
  (void)arm_elementwise_add_s8(a, b, p->a.offset, p->a.multiplier, p->a.shift, p->b.offset, p->b.multiplier,
                               p->b.shift, p->bits, out, p->out.offset, p->out.multiplier, p->out.shift, p->low,
                               p->high, p->elements);
}

THIMBLE_KERNEL void thimble_cmsis_nn_mul(const thimble_cmsis_nn_pair_params *p, const int8_t *a, const int8_t *b,
                                         int8_t *out) {
  (void)arm_elementwise_mul_s8(a, b, p->a.offset, p->b.offset, out, p->out.offset, p->out.multiplier, p->out.shift,
                               p->low, p->high, p->elements);
}

typedef struct {
  int32_t rows, length, multiplier, shift;
  int32_t least; /* difference to the largest element that still counts */
} thimble_cmsis_nn_softmax_params;

THIMBLE_KERNEL void thimble_cmsis_nn_softmax(const thimble_cmsis_nn_softmax_params *p, const int8_t *in, int8_t *out) {
  arm_softmax_s8(in, p->rows, p->length, p->multiplier, p->shift, p->least, out);
}

#endif
