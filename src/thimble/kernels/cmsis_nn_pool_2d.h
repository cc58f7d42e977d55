/* SPDX-License-Identifier: Apache-2.0 */
/* int8 AVERAGE_POOL_2D and MAX_POOL_2D of all images by CMSIS-NN. Input and output must not overlap. */
#ifndef THIMBLE_CMSIS_NN_POOL_2D_H
#define THIMBLE_CMSIS_NN_POOL_2D_H

#include "cmsis_nn.h"

typedef struct {
  cmsis_nn_pool_params pool;
  cmsis_nn_dims in, filter, out;
  thimble_cmsis_nn_work work;
} thimble_cmsis_nn_pool_2d_params;

THIMBLE_KERNEL void thimble_cmsis_nn_average_pool_2d(const thimble_cmsis_nn_pool_2d_params *p, const int8_t *in,
                                                     int8_t *out, void *scratch) {
  const cmsis_nn_context context = thimble_cmsis_nn_context(&p->work, scratch);
  (void)arm_avgpool_s8(&context, &p->pool, &p->in, in, &p->filter, &p->out, out);
}

THIMBLE_KERNEL void thimble_cmsis_nn_max_pool_2d(const thimble_cmsis_nn_pool_2d_params *p, const int8_t *in,
                                                 int8_t *out) {
  const cmsis_nn_context context = thimble_cmsis_nn_context(&p->work, NULL);
  (void)arm_max_pool_s8(&context, &p->pool, &p->in, in, &p->filter, &p->out, out);
}

#endif
