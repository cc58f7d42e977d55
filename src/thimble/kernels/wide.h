/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of 64 bits, as TFLM takes them beside int16 activations. */
#ifndef THIMBLE_WIDE_H
#define THIMBLE_WIDE_H

#include "fixed_point.h"

/* sum * multiplier / 2^right rounded half up, for a multiplier of 15 bits and right in [1, 46]; keeps 32 bits.
 * Source: MultiplyByQuantizedMultiplier for int64, tensorflow/lite/kernels/internal/common.cc; the multiplier's
 * rounding to 15 bits was done when the model was compiled. */
THIMBLE_INLINE int32_t thimble_scale_wide(int64_t sum, int32_t multiplier, int32_t right) {
  const uint64_t scaled = (uint64_t)sum * (uint64_t)(int64_t)multiplier + ((uint64_t)1 << (right - 1));
  return (int32_t)(uint32_t)(uint64_t)((int64_t)scaled >> right);
}

/* By (multiplier, right) as above if `wide`, else the low 32 bits by (multiplier, shift) of thimble_rescale. */
THIMBLE_INLINE int32_t thimble_scale_sum(int64_t sum, int32_t multiplier, int32_t shift, int32_t wide) {
  return wide ? thimble_scale_wide(sum, multiplier, shift)
              : thimble_rescale((int32_t)(uint32_t)(uint64_t)sum, multiplier, shift);
}

/* A function of its own where registers are too few for 64 bits among other work. */
#if defined(__AVR__)
#define THIMBLE_WIDE_LOAD __attribute__((noinline, unused)) static
#else
#define THIMBLE_WIDE_LOAD THIMBLE_INLINE
#endif

/* Element `index` of an array of int64 if `wide`, else of int32. */
THIMBLE_WIDE_LOAD int64_t thimble_wide_at(const THIMBLE_FLASH void *sums, int32_t index, int32_t wide) {
  return wide ? ((const THIMBLE_FLASH int64_t *)sums)[index] : ((const THIMBLE_FLASH int32_t *)sums)[index];
}

#endif
