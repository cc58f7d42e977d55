/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on pairs of quantized elements, step by step as TFLM does it. See `pairs.h` for order and sharing. */
#ifndef THIMBLE_PAIRWISE_SCALED_H
#define THIMBLE_PAIRWISE_SCALED_H

#include "pairs.h"
#include "scale.h"

/* Both operands are brought to one scale, then combined. */
typedef struct {
  thimble_pairs over;
  thimble_operand a, b;
  thimble_result out;
} thimble_scaled_params;

#define THIMBLE_COMBINED(name, type, combine) \
  THIMBLE_PAIRWISE(name, scaled, type, type, type, \
                   thimble_stored(combine(thimble_share(a, &p->a), thimble_share(b, &p->b)), &p->out))

THIMBLE_INLINE int32_t thimble_squared_gap(int32_t a, int32_t b) {
  const int32_t gap = thimble_minus(a, b);
  return thimble_times(gap, gap);
}

THIMBLE_COMBINED(add_s8, int8_t, thimble_plus)
THIMBLE_COMBINED(add_s16, int16_t, thimble_plus)
THIMBLE_COMBINED(sub_s8, int8_t, thimble_minus)
THIMBLE_COMBINED(sub_s16, int16_t, thimble_minus)
THIMBLE_COMBINED(squared_difference_s8, int8_t, thimble_squared_gap)
THIMBLE_COMBINED(squared_difference_s16, int16_t, thimble_squared_gap)

/* Products are scaled once. */
typedef struct {
  thimble_pairs over;
  int32_t a_zero, b_zero;
  thimble_result out;
} thimble_product_params;

#define THIMBLE_PRODUCT(name, type) \
  THIMBLE_PAIRWISE(name, product, type, type, type, \
                   thimble_stored(thimble_times(a - p->a_zero, b - p->b_zero), &p->out))

THIMBLE_PRODUCT(mul_s8, int8_t)
THIMBLE_PRODUCT(mul_s16, int16_t)

/* PRELU: x where it is not negative, else x * alpha, each with its own scale. */
typedef struct {
  thimble_pairs over;
  int32_t a_zero, b_zero;
  thimble_scale negative;
  thimble_result out;
} thimble_prelu_params;

THIMBLE_INLINE int32_t thimble_prelu_of(int32_t x, int32_t alpha, const THIMBLE_FLASH thimble_prelu_params *p) {
  return thimble_clamped(x >= 0 ? thimble_scaled(x, &p->out.scale)
                                : thimble_scaled(thimble_times(x, alpha), &p->negative), &p->out);
}

THIMBLE_PAIRWISE(prelu_s8, prelu, int8_t, int8_t, int8_t, thimble_prelu_of(a - p->a_zero, b - p->b_zero, p))
THIMBLE_PAIRWISE(prelu_u8, prelu, uint8_t, uint8_t, uint8_t, thimble_prelu_of(a - p->a_zero, b - p->b_zero, p))
THIMBLE_PAIRWISE(prelu_s16, prelu, int16_t, int8_t, int16_t, thimble_prelu_of(a - p->a_zero, b - p->b_zero, p))

#endif
