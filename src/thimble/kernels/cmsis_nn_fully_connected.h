/* SPDX-License-Identifier: Apache-2.0 */
/* int8 FULLY_CONNECTED with one multiplier by CMSIS-NN. Input and output must not overlap.
 * `sums` are what CMSIS-NN starts from with Helium: biases with the input's zero point counted in. Elsewhere it does not
 * read them, and a network that is compiled for such cores has none. */
#ifndef THIMBLE_CMSIS_NN_FULLY_CONNECTED_H
#define THIMBLE_CMSIS_NN_FULLY_CONNECTED_H

#include "cmsis_nn.h"

typedef struct {
  cmsis_nn_fc_params layer;
  cmsis_nn_per_tensor_quant_params quant;
  cmsis_nn_dims in, filter, bias, out;
  thimble_cmsis_nn_work work; /* bytes of the sums */
} thimble_cmsis_nn_fully_connected_params;

THIMBLE_KERNEL void thimble_cmsis_nn_fully_connected(const thimble_cmsis_nn_fully_connected_params *p,
                                                     const int8_t *in, const int8_t *weights, const int32_t *bias,
                                                     const int32_t *sums, int8_t *out) {
  const cmsis_nn_context context = thimble_cmsis_nn_context(&p->work, (void *)sums); /* only read */
  (void)arm_fully_connected_s8(&context, &p->layer, &p->quant, &p->in, in, &p->filter, weights, &p->bias, bias, &p->out,
                               out);
}

#endif
