/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of single floats. Input and output may be the same bytes. */
#ifndef THIMBLE_UNARY_F32_H
#define THIMBLE_UNARY_F32_H

#include <math.h>

#include "pairs.h"

#define THIMBLE_UNARY_F32(name, result) THIMBLE_EACH(name, each, float, float, result)

/* To the nearest whole number, halves to the even one. */
THIMBLE_INLINE float thimble_nearest(float x) {
  const float below = floorf(x), rest = x - below;
  const int up = rest > 0.5f || (rest == 0.5f && floorf(below * 0.5f) != below * 0.5f);
  return up ? below + 1.0f : below;
}

/* exp(x) - 1 for x <= 0; near 0 the difference would lose its digits. */
THIMBLE_INLINE float thimble_exp_less_1(float x) {
  return x < -0.0625f ? expf(x) - 1.0f : x * (1.0f + x * (1.0f / 2 + x * (1.0f / 6 + x * (1.0f / 24))));
}

THIMBLE_INLINE float thimble_hard_swish(float x) {
  const float gate = x < -3.0f ? 0.0f : x > 3.0f ? 6.0f : x + 3.0f;
  return x * gate / 6.0f;
}

THIMBLE_UNARY_F32(abs_f32, x < 0.0f ? -x : x)
THIMBLE_UNARY_F32(ceil_f32, ceilf(x))
THIMBLE_UNARY_F32(cos_f32, cosf(x))
THIMBLE_UNARY_F32(elu_f32, x < 0.0f ? thimble_exp_less_1(x) : x)
THIMBLE_UNARY_F32(exp_f32, expf(x))
THIMBLE_UNARY_F32(floor_f32, floorf(x))
THIMBLE_UNARY_F32(hard_swish_f32, thimble_hard_swish(x))
THIMBLE_UNARY_F32(log_f32, logf(x))
THIMBLE_UNARY_F32(logistic_f32, 1.0f / (1.0f + expf(-x)))
THIMBLE_UNARY_F32(neg_f32, -x)
THIMBLE_UNARY_F32(relu_f32, x < 0.0f ? 0.0f : x)
THIMBLE_UNARY_F32(relu6_f32, x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x)
THIMBLE_UNARY_F32(round_f32, thimble_nearest(x))
THIMBLE_UNARY_F32(rsqrt_f32, 1.0f / sqrtf(x))
THIMBLE_UNARY_F32(sin_f32, sinf(x))
THIMBLE_UNARY_F32(sqrt_f32, sqrtf(x))
THIMBLE_UNARY_F32(square_f32, x * x)
THIMBLE_UNARY_F32(tanh_f32, tanhf(x))

typedef struct {
  int32_t count;
  float alpha;
} thimble_leaky_relu_f32_params;

THIMBLE_EACH(leaky_relu_f32, leaky_relu_f32, float, float, x > 0.0f ? x : x * p->alpha)

#endif
