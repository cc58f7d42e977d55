/* SPDX-License-Identifier: Apache-2.0 */
/* Quantized elements in another scale or type, where a table would be too long. Input and output may be the same bytes
 * where their elements are of one size. */
#ifndef THIMBLE_RESCALE_H
#define THIMBLE_RESCALE_H

#include "pairs.h"
#include "scale.h"

typedef struct {
  int32_t count, zero;
  thimble_result out;
} thimble_rescale_params;

#define THIMBLE_RESCALE(name, in_type, out_type) \
  THIMBLE_EACH(name, rescale, in_type, out_type, thimble_stored(thimble_minus(x, p->zero), &p->out))

THIMBLE_RESCALE(rescale_s8_s16, int8_t, int16_t)
THIMBLE_RESCALE(rescale_s8_s32, int8_t, int32_t)
THIMBLE_RESCALE(rescale_s16_s8, int16_t, int8_t)
THIMBLE_RESCALE(rescale_s16_s16, int16_t, int16_t)
THIMBLE_RESCALE(rescale_s16_s32, int16_t, int32_t)
THIMBLE_RESCALE(rescale_s32_s8, int32_t, int8_t)
THIMBLE_RESCALE(rescale_s32_s16, int32_t, int16_t)

/* Another scale for negative numbers, with a factor of 1 or -1 before and after it: LEAKY_RELU and ABS. */
typedef struct {
  int32_t count, zero;
  thimble_scale negative;
  int32_t before, after;
  thimble_result out;
} thimble_bent_params;

THIMBLE_INLINE int32_t thimble_bent(int32_t x, const THIMBLE_FLASH thimble_bent_params *p) {
  const int32_t scaled =
      x >= 0 ? thimble_scaled(x, &p->out.scale) : p->after * thimble_scaled(p->before * x, &p->negative);
  return thimble_clamped(scaled, &p->out);
}

THIMBLE_EACH(bent_s16, bent, int16_t, int16_t, thimble_bent(x - p->zero, p))

#endif
