/* SPDX-License-Identifier: Apache-2.0 */
/* Elements in another type. Input and output may be the same bytes where their elements are of one size. */
#ifndef THIMBLE_CONVERT_H
#define THIMBLE_CONVERT_H

#include "pairs.h"

/* Fractions are cut off. What C leaves open, numbers that do not fit, becomes the least number. */
THIMBLE_INLINE int32_t thimble_whole_s32(float x) {
  return x >= -0x1p31f && x < 0x1p31f ? (int32_t)x : INT32_MIN;
}
THIMBLE_INLINE int64_t thimble_whole_s64(float x) {
  return x >= -0x1p63f && x < 0x1p63f ? (int64_t)x : INT64_MIN;
}

/* CAST between integers keeps the lowest bits; types of one size are copied, by another kernel. */
THIMBLE_EACH(cast_s8_s16, each, int8_t, int16_t, x)
THIMBLE_EACH(cast_s8_s32, each, int8_t, int32_t, x)
THIMBLE_EACH(cast_u8_s16, each, uint8_t, int16_t, x)
THIMBLE_EACH(cast_u8_s32, each, uint8_t, int32_t, x)
THIMBLE_EACH(cast_u8_f32, each, uint8_t, float, x)
THIMBLE_EACH(cast_s16_s8, each, int16_t, int8_t, x)
THIMBLE_EACH(cast_s16_s32, each, int16_t, int32_t, x)
THIMBLE_EACH(cast_s32_s8, each, int32_t, int8_t, x)
THIMBLE_EACH(cast_s32_s16, each, int32_t, int16_t, x)
THIMBLE_EACH(cast_s8_f32, each, int8_t, float, x)
THIMBLE_EACH(cast_s16_f32, each, int16_t, float, x)
THIMBLE_EACH(cast_s32_f32, each, int32_t, float, x)
THIMBLE_EACH(cast_u32_f32, each, uint32_t, float, x)
THIMBLE_EACH(cast_f32_s8, each, float, int8_t, thimble_whole_s32(x))
THIMBLE_EACH(cast_f32_s16, each, float, int16_t, thimble_whole_s32(x))
THIMBLE_EACH(cast_f32_s32, each, float, int32_t, thimble_whole_s32(x))
THIMBLE_EACH(cast_f32_u32, each, float, uint32_t, thimble_whole_s64(x))

THIMBLE_EACH(logical_not, each, uint8_t, uint8_t, x == 0)

/* DEQUANTIZE */
typedef struct {
  int32_t count, zero;
  float scale;
} thimble_dequantize_params;

THIMBLE_EACH(dequantize_s8, dequantize, int8_t, float, (float)(x - p->zero) * p->scale)
THIMBLE_EACH(dequantize_u8, dequantize, uint8_t, float, (float)(x - p->zero) * p->scale)
THIMBLE_EACH(dequantize_s16, dequantize, int16_t, float, (float)(x - p->zero) * p->scale)

/* IEEE half precision; subnormals are multiples of 2^-24. */
THIMBLE_INLINE float thimble_from_half(uint16_t half) {
  const uint32_t exponent = (uint32_t)half >> 10 & 31, fraction = (uint32_t)half & 1023;
  const uint32_t sign = ((uint32_t)half & 0x8000u) << 16;
  float value = (float)fraction * 0x1p-24f;
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (exponent != 0) {
    bits = (exponent == 31 ? UINT32_C(255) : exponent + 112) << 23 | fraction << 13;
  }
  bits |= sign;
  memcpy(&value, &bits, sizeof value);
  return value;
}

THIMBLE_EACH(dequantize_f16, each, uint16_t, float, thimble_from_half(x))

/* QUANTIZE of floats: x / scale to the nearest, halves away from zero. Bounds do not include the zero point. */
typedef struct {
  int32_t count, zero;
  float scale, low, high;
} thimble_quantize_params;

/* The float before a half rounds halves up, and no number below a half. */
THIMBLE_INLINE int32_t thimble_quantized(float x, const THIMBLE_FLASH thimble_quantize_params *p) {
  const float half = 0x1.fffffep-2f, ratio = x / p->scale;
  const float number = ratio < p->low ? p->low : ratio > p->high ? p->high : ratio;
  return p->zero + (number != number ? 0 : (int32_t)(number < 0.0f ? number - half : number + half));
}

THIMBLE_EACH(quantize_s8, quantize, float, int8_t, thimble_quantized(x, p))
THIMBLE_EACH(quantize_u8, quantize, float, uint8_t, thimble_quantized(x, p))
THIMBLE_EACH(quantize_s16, quantize, float, int16_t, thimble_quantized(x, p))

#endif
