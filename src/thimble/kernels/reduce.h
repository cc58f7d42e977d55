/* SPDX-License-Identifier: Apache-2.0 */
/* SUM, MEAN, REDUCE_MAX, REDUCE_MIN, REDUCE_ALL (the minimum of booleans) and REDUCE_ANY (their maximum).
 * Outputs are written in one piece, once each, each after all elements that it combines were read, in the order of the
 * memory. What is still to be read never lies before the place that is written, so the output may start where the
 * input does. */
#ifndef THIMBLE_REDUCE_H
#define THIMBLE_REDUCE_H

#include "elements.h"
#include "fixed_point.h"

#define THIMBLE_REDUCE_AXES 3

#define THIMBLE_REDUCE_SUM 0
#define THIMBLE_REDUCE_MAX 1
#define THIMBLE_REDUCE_MIN 2

/* Axes that are kept and axes that vanish: extents, and distances in elements. Unused axes come first. */
typedef struct {
  int32_t kept[THIMBLE_REDUCE_AXES], kept_stride[THIMBLE_REDUCE_AXES];
  int32_t gone[THIMBLE_REDUCE_AXES], gone_stride[THIMBLE_REDUCE_AXES];
} thimble_reduce_axes;

typedef struct {
  thimble_reduce_axes axes;
  int32_t start;               /* of the combination: minus the zero points of all elements, or an extreme */
  int32_t multiplier, shift;   /* of sums */
  int32_t out_zero, low, high; /* bounds before `out_zero` is added */
} thimble_reduce_params;

typedef struct {
  thimble_reduce_axes axes;
  float start, count; /* sums are divided by `count` */
} thimble_reduce_f32_params;

/* Sums wrap around as int32 does. */
THIMBLE_INLINE int32_t thimble_reduce_join(int32_t a, int32_t x, int32_t kind) {
  if (kind == THIMBLE_REDUCE_SUM) {
    return (int32_t)((uint32_t)a + (uint32_t)x);
  }
  return kind == THIMBLE_REDUCE_MAX ? thimble_max(a, x) : thimble_min(a, x);
}

/* All elements that one output combines, from `at` on. */
THIMBLE_INLINE int32_t thimble_reduce_fold(const THIMBLE_FLASH thimble_reduce_axes *axes, const void *in, int32_t at,
                                           int32_t a, int32_t kind, int32_t type) {
  for (int32_t i = 0; i < axes->gone[0]; i++) {
    for (int32_t j = 0; j < axes->gone[1]; j++) {
      int32_t from = at + i * axes->gone_stride[0] + j * axes->gone_stride[1];
      for (int32_t k = axes->gone[2]; k > 0; k--) {
        a = thimble_reduce_join(a, thimble_get(in, from, type), kind);
        from += axes->gone_stride[2];
      }
    }
  }
  return a;
}

THIMBLE_INLINE void thimble_reduce(const THIMBLE_FLASH thimble_reduce_params *p, const void *in, void *out,
                                   int32_t kind, int32_t type) {
  const THIMBLE_FLASH thimble_reduce_axes *axes = &p->axes;
  int32_t to = 0;
  for (int32_t i = 0; i < axes->kept[0]; i++) {
    for (int32_t j = 0; j < axes->kept[1]; j++) {
      int32_t from = i * axes->kept_stride[0] + j * axes->kept_stride[1];
      for (int32_t k = axes->kept[2]; k > 0; k--) {
        int32_t value = thimble_reduce_fold(axes, in, from, p->start, kind, type);
        if (kind == THIMBLE_REDUCE_SUM) {
          value = thimble_clamp(thimble_rescale(value, p->multiplier, p->shift), p->low, p->high) + p->out_zero;
        }
        thimble_put(out, to, value, type);
        to++;
        from += axes->kept_stride[2];
      }
    }
  }
}

THIMBLE_KERNEL void thimble_sum_s8(const THIMBLE_FLASH thimble_reduce_params *p, const int8_t *in, int8_t *out) {
  thimble_reduce(p, in, out, THIMBLE_REDUCE_SUM, THIMBLE_S8);
}
THIMBLE_KERNEL void thimble_sum_u8(const THIMBLE_FLASH thimble_reduce_params *p, const uint8_t *in, uint8_t *out) {
  thimble_reduce(p, in, out, THIMBLE_REDUCE_SUM, THIMBLE_U8);
}
THIMBLE_KERNEL void thimble_sum_s16(const THIMBLE_FLASH thimble_reduce_params *p, const int16_t *in, int16_t *out) {
  thimble_reduce(p, in, out, THIMBLE_REDUCE_SUM, THIMBLE_S16);
}
THIMBLE_KERNEL void thimble_reduce_max_s8(const THIMBLE_FLASH thimble_reduce_params *p, const int8_t *in,
                                          int8_t *out) {
  thimble_reduce(p, in, out, THIMBLE_REDUCE_MAX, THIMBLE_S8);
}
THIMBLE_KERNEL void thimble_reduce_max_u8(const THIMBLE_FLASH thimble_reduce_params *p, const uint8_t *in,
                                          uint8_t *out) {
  thimble_reduce(p, in, out, THIMBLE_REDUCE_MAX, THIMBLE_U8);
}
THIMBLE_KERNEL void thimble_reduce_min_s8(const THIMBLE_FLASH thimble_reduce_params *p, const int8_t *in,
                                          int8_t *out) {
  thimble_reduce(p, in, out, THIMBLE_REDUCE_MIN, THIMBLE_S8);
}
THIMBLE_KERNEL void thimble_reduce_min_u8(const THIMBLE_FLASH thimble_reduce_params *p, const uint8_t *in,
                                          uint8_t *out) {
  thimble_reduce(p, in, out, THIMBLE_REDUCE_MIN, THIMBLE_U8);
}

/* What is not a number never is an extreme. */
THIMBLE_INLINE float thimble_reduce_f32_join(float a, float x, int32_t kind) {
  if (kind == THIMBLE_REDUCE_SUM) {
    return a + x;
  }
  return (kind == THIMBLE_REDUCE_MAX ? x > a : x < a) ? x : a;
}

THIMBLE_INLINE float thimble_reduce_f32_fold(const THIMBLE_FLASH thimble_reduce_axes *axes, const float *in,
                                             float a, int32_t kind) {
  for (int32_t i = 0; i < axes->gone[0]; i++) {
    for (int32_t j = 0; j < axes->gone[1]; j++) {
      int32_t from = i * axes->gone_stride[0] + j * axes->gone_stride[1];
      for (int32_t k = axes->gone[2]; k > 0; k--) {
        a = thimble_reduce_f32_join(a, in[from], kind);
        from += axes->gone_stride[2];
      }
    }
  }
  return a;
}

THIMBLE_INLINE void thimble_reduce_f32(const THIMBLE_FLASH thimble_reduce_f32_params *p, const float *in, float *out,
                                       int32_t kind) {
  const THIMBLE_FLASH thimble_reduce_axes *axes = &p->axes;
  int32_t to = 0;
  for (int32_t i = 0; i < axes->kept[0]; i++) {
    for (int32_t j = 0; j < axes->kept[1]; j++) {
      int32_t from = i * axes->kept_stride[0] + j * axes->kept_stride[1];
      for (int32_t k = axes->kept[2]; k > 0; k--) {
        const float value = thimble_reduce_f32_fold(axes, in + from, p->start, kind);
        out[to] = kind == THIMBLE_REDUCE_SUM ? value / p->count : value;
        to++;
        from += axes->kept_stride[2];
      }
    }
  }
}

THIMBLE_KERNEL void thimble_sum_f32(const THIMBLE_FLASH thimble_reduce_f32_params *p, const float *in, float *out) {
  thimble_reduce_f32(p, in, out, THIMBLE_REDUCE_SUM);
}
THIMBLE_KERNEL void thimble_reduce_max_f32(const THIMBLE_FLASH thimble_reduce_f32_params *p, const float *in,
                                           float *out) {
  thimble_reduce_f32(p, in, out, THIMBLE_REDUCE_MAX);
}
THIMBLE_KERNEL void thimble_reduce_min_f32(const THIMBLE_FLASH thimble_reduce_f32_params *p, const float *in,
                                           float *out) {
  thimble_reduce_f32(p, in, out, THIMBLE_REDUCE_MIN);
}

#endif
