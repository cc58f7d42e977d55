/* SPDX-License-Identifier: Apache-2.0 */
/* AVERAGE_POOL_2D, L2_POOL_2D and MAX_POOL_2D on float32. Elements are written in one piece, once each, each after all
 * cells of its window are read; what pool_2d.h says of overlap holds here too. */
#ifndef THIMBLE_POOL_2D_F32_H
#define THIMBLE_POOL_2D_F32_H

#include <math.h>

#include "pool_2d.h"

#define THIMBLE_POOL_AVERAGE 0
#define THIMBLE_POOL_L2 1
#define THIMBLE_POOL_MAX 2

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  float low, high;
} thimble_pool_2d_f32_params;

/* Channel `in[0]` over a window: its sum, its sum of squares, or its maximum if that is above `low`. */
THIMBLE_INLINE float thimble_pool_2d_f32_fold(const THIMBLE_FLASH thimble_pool_2d_f32_params *p, const float *in,
                                              const thimble_pool_window *window, int32_t kind) {
  float a = kind == THIMBLE_POOL_MAX ? p->low : 0.0f;
  for (int32_t i = 0; i < window->rows.count; i++) {
    int32_t at = thimble_row(&p->in, window->rows.first + i) + window->columns.first * p->in.pixel;
    for (int32_t j = window->columns.count; j > 0; j--) {
      const float x = in[at];
      if (kind == THIMBLE_POOL_MAX) {
        a = x > a ? x : a;
      } else {
        a += kind == THIMBLE_POOL_L2 ? x * x : x;
      }
      at += p->in.pixel;
    }
  }
  return a;
}

THIMBLE_INLINE void thimble_pool_2d_f32(const THIMBLE_FLASH thimble_pool_2d_f32_params *p, const float *in,
                                        float *out, int32_t begin, int32_t end, int32_t kind) {
  thimble_pool_window window;
  for (int32_t y = begin; y < end; y++) {
    window.rows = thimble_pool_span_of(y * p->stride_h - p->pad_top, p->kernel_h, p->in.height);
    for (int32_t x = 0; x < p->out.width; x++) {
      window.columns = thimble_pool_span_of(x * p->stride_w - p->pad_left, p->kernel_w, p->in.width);
      const float count = (float)(window.rows.count * window.columns.count);
      float *pixel = out + thimble_row(&p->out, y) + x * p->out.pixel;
      for (int32_t c = 0; c < p->in.channels; c++) {
        float value = thimble_pool_2d_f32_fold(p, in + c, &window, kind);
        if (kind != THIMBLE_POOL_MAX) {
          value /= count;
        }
        if (kind == THIMBLE_POOL_L2) {
          value = sqrtf(value);
        }
        pixel[c] = value < p->low ? p->low : value > p->high ? p->high : value;
      }
    }
  }
}

/* Rows [begin, end) of the output. */
THIMBLE_KERNEL void thimble_average_pool_2d_f32(const THIMBLE_FLASH thimble_pool_2d_f32_params *p, const float *in,
                                                float *out, int32_t begin, int32_t end) {
  thimble_pool_2d_f32(p, in, out, begin, end, THIMBLE_POOL_AVERAGE);
}
THIMBLE_KERNEL void thimble_l2_pool_2d_f32(const THIMBLE_FLASH thimble_pool_2d_f32_params *p, const float *in,
                                           float *out, int32_t begin, int32_t end) {
  thimble_pool_2d_f32(p, in, out, begin, end, THIMBLE_POOL_L2);
}
THIMBLE_KERNEL void thimble_max_pool_2d_f32(const THIMBLE_FLASH thimble_pool_2d_f32_params *p, const float *in,
                                            float *out, int32_t begin, int32_t end) {
  thimble_pool_2d_f32(p, in, out, begin, end, THIMBLE_POOL_MAX);
}

#endif
