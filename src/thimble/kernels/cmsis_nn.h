/* SPDX-License-Identifier: Apache-2.0 */
/* What all calls into the user's CMSIS-NN share. Its folder `Include` must be among the include folders, and its library
 * linked, compiled for the same core as this code and without CMSIS_NN_USE_SINGLE_ROUNDING. */
#ifndef THIMBLE_CMSIS_NN_H
#define THIMBLE_CMSIS_NN_H

#include "base.h"

#if defined(__has_include)
#if !__has_include(<arm_nnfunctions.h>)
#error "this network calls CMSIS-NN: add the folder Include of CMSIS-NN to the include folders"
#endif
#endif
#include <arm_nnfunctions.h> /* not ours: in angles, so that it is not looked for in this folder */

/* Bytes of work space. With Helium CMSIS-NN needs more of it: the parameters of a network that was compiled for a core
 * without Helium name a member which is not there on a core with it, so that the network cannot be built for one. */
typedef union {
  int32_t bytes;
#if !defined(ARM_MATH_MVEI)
  int32_t bytes_without_helium;
#endif
} thimble_cmsis_nn_work;

/* CMSIS-NN reads multipliers and shifts through pointers that are not const. */
THIMBLE_INLINE cmsis_nn_per_channel_quant_params thimble_cmsis_nn_channels(const int32_t *multipliers,
                                                                           const int32_t *shifts) {
  cmsis_nn_per_channel_quant_params quant;
  quant.multiplier = (int32_t *)multipliers;
  quant.shift = (int32_t *)shifts;
  return quant;
}

THIMBLE_INLINE cmsis_nn_context thimble_cmsis_nn_context(const thimble_cmsis_nn_work *work, void *scratch) {
  cmsis_nn_context context;
  context.buf = scratch;
  context.size = work->bytes;
  return context;
}

#endif
