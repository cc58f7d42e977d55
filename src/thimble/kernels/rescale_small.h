/* SPDX-License-Identifier: Apache-2.0 */
/* TFLM's rescaling of numbers that are known to be small, in fewer instructions; see requantize_s8.h for why. */
#ifndef THIMBLE_RESCALE_SMALL_H
#define THIMBLE_RESCALE_SMALL_H

#include "requantize_s8.h"

/* thimble_rescale for |x| * 2^max(shift, 0) below 2^30, and multipliers that are not negative. */
THIMBLE_INLINE int32_t thimble_rescale_small(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t v = thimble_high_product(shift > 0 ? thimble_shift_left(x, shift) : x, multiplier);
  return shift >= 0 ? v : (v + (int32_t)((uint32_t)1 << (-shift - 1)) + (x >> 31)) >> -shift;
}

#endif
