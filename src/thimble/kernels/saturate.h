/* SPDX-License-Identifier: Apache-2.0 */
/* Clamps of results. Source: Armv7-M Architecture Reference Manual (DDI 0403), A7.7: SSAT. */
#ifndef THIMBLE_SATURATE_H
#define THIMBLE_SATURATE_H

#include "base.h"

/* Between bounds: one instruction, where there is one, if they are all of int8 or int16 (within loops GCC does not find
 * it by itself) and known to the compiler. */
THIMBLE_INLINE int32_t thimble_saturated(int32_t x, int32_t low, int32_t high) {
#if defined(__ARM_FEATURE_SAT) && defined(__GNUC__) && !defined(THIMBLE_SHARE_KERNELS)
  int32_t result;
  if (low == -128 && high == 127) {
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
  }
  if (low == -32768 && high == 32767) {
    __asm__("ssat %0, #16, %1" : "=r"(result) : "r"(x));
    return result;
  }
#endif
  return thimble_clamp(x, low, high);
}

#endif
