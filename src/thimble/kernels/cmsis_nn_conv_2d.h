/* SPDX-License-Identifier: Apache-2.0 */
/* int8 CONV_2D of one image by CMSIS-NN. Input and output must not overlap. */
#ifndef THIMBLE_CMSIS_NN_CONV_2D_H
#define THIMBLE_CMSIS_NN_CONV_2D_H

#include "cmsis_nn.h"

typedef struct {
  cmsis_nn_conv_params conv;
  cmsis_nn_dims in, filter, bias, out;
  thimble_cmsis_nn_work work;
} thimble_cmsis_nn_conv_2d_params;

THIMBLE_KERNEL void thimble_cmsis_nn_conv_2d(const thimble_cmsis_nn_conv_2d_params *p, const int8_t *in,
                                             const int8_t *weights, const int32_t *bias, const int32_t *multipliers,
                                             const int32_t *shifts, int8_t *out, void *scratch) {
  const cmsis_nn_context context = thimble_cmsis_nn_context(&p->work, scratch);
  const cmsis_nn_per_channel_quant_params quant = thimble_cmsis_nn_channels(multipliers, shifts);
  (void)arm_convolve_wrapper_s8(&context, &p->conv, &quant, &p->in, in, &p->filter, weights, &p->bias, bias, &p->out,
                                out);
}

/* The same for what needs no work space: filters of one pixel. */
THIMBLE_KERNEL void thimble_cmsis_nn_conv_2d_direct(const thimble_cmsis_nn_conv_2d_params *p, const int8_t *in,
                                                    const int8_t *weights, const int32_t *bias,
                                                    const int32_t *multipliers, const int32_t *shifts, int8_t *out) {
  const cmsis_nn_context context = thimble_cmsis_nn_context(&p->work, NULL);
  const cmsis_nn_per_channel_quant_params quant = thimble_cmsis_nn_channels(multipliers, shifts);
  (void)arm_convolve_wrapper_s8(&context, &p->conv, &quant, &p->in, in, &p->filter, weights, &p->bias, bias, &p->out,
                                out);
}

#endif
