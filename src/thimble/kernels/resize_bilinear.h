/* SPDX-License-Identifier: Apache-2.0 */
/* RESIZE_BILINEAR. Rows, pixels and channels are written in order, once each; input and output must not overlap.
 * Source: tensorflow/lite/kernels/internal/reference/resize_bilinear.h. */
#ifndef THIMBLE_RESIZE_BILINEAR_H
#define THIMBLE_RESIZE_BILINEAR_H

#include "base.h"

/* Output row y is at y * row_scale + row_start of the input's rows, in 1024ths; columns alike. */
typedef struct {
  thimble_image in, out;
  int32_t row_scale, row_start, column_scale, column_start;
} thimble_resize_bilinear_params;

/* The same in rows and columns: at (y + centre) * row_scale - centre. */
typedef struct {
  thimble_image in, out;
  float row_scale, column_scale, centre;
  int32_t flip; /* bytes are XORed with this: 0x80 where uint8 is kept as int8 */
} thimble_resize_bilinear_f32_params;

/* The cells before and after a place, and how far it is from the first. */
typedef struct {
  int32_t low, high, part;
} thimble_resize_place;

THIMBLE_INLINE thimble_resize_place thimble_resize_place_of(int32_t at, int32_t size) {
  thimble_resize_place place;
  place.low = thimble_clamp(at >> 10, 0, size - 1);
  place.high = thimble_min((at + 1023) >> 10, size - 1);
  place.part = at - place.low * 1024;
  return place;
}

/* Rows [begin, end) of the output. */
THIMBLE_KERNEL void thimble_resize_bilinear_s8(const THIMBLE_FLASH thimble_resize_bilinear_params *p, const int8_t *in,
                                               int8_t *out, int32_t begin, int32_t end) {
  for (int32_t y = begin; y < end; y++) {
    const thimble_resize_place row = thimble_resize_place_of(y * p->row_scale + p->row_start, p->in.height);
    const int8_t *upper = in + thimble_row(&p->in, row.low), *lower = in + thimble_row(&p->in, row.high);
    int8_t *to = out + thimble_row(&p->out, y);
    for (int32_t x = 0; x < p->out.width; x++, to += p->out.pixel) {
      const thimble_resize_place column = thimble_resize_place_of(x * p->column_scale + p->column_start, p->in.width);
      const int32_t left = column.low * p->in.pixel, right = column.high * p->in.pixel;
      const int32_t upper_left = (1024 - row.part) * (1024 - column.part);
      const int32_t upper_right = (1024 - row.part) * column.part;
      const int32_t lower_left = row.part * (1024 - column.part);
      const int32_t lower_right = row.part * column.part;
      for (int32_t c = 0; c < p->in.channels; c++) {
        const int32_t sum = upper[left + c] * upper_left + upper[right + c] * upper_right +
                            lower[left + c] * lower_left + lower[right + c] * lower_right;
        to[c] = (int8_t)((sum + (sum > 0 ? (int32_t)1 << 19 : -((int32_t)1 << 19))) / ((int32_t)1 << 20));
      }
    }
  }
}

typedef struct {
  int32_t low, high;
  float part;
} thimble_resize_place_f32;

THIMBLE_INLINE thimble_resize_place_f32 thimble_resize_place_f32_of(int32_t index, float scale, float centre,
                                                                    int32_t size) {
  const float at = ((float)index + centre) * scale - centre;
  thimble_resize_place_f32 place;
  place.low = at > 0.0f ? (int32_t)at : 0;
  place.high = thimble_min(at > (float)place.low ? place.low + 1 : place.low, size - 1);
  place.part = at - (float)place.low;
  return place;
}

/* Four cells by their weights; in this order, on which the last bit of a float depends. */
THIMBLE_INLINE float thimble_resize_between(float upper_left, float lower_left, float upper_right, float lower_right,
                                            float down, float across) {
  return upper_left * (1.0f - down) * (1.0f - across) + lower_left * down * (1.0f - across) +
         upper_right * (1.0f - down) * across + lower_right * down * across;
}

THIMBLE_KERNEL void thimble_resize_bilinear_f32(const THIMBLE_FLASH thimble_resize_bilinear_f32_params *p,
                                                const float *in, float *out, int32_t begin, int32_t end) {
  for (int32_t y = begin; y < end; y++) {
    const thimble_resize_place_f32 row = thimble_resize_place_f32_of(y, p->row_scale, p->centre, p->in.height);
    const float *upper = in + thimble_row(&p->in, row.low), *lower = in + thimble_row(&p->in, row.high);
    float *to = out + thimble_row(&p->out, y);
    for (int32_t x = 0; x < p->out.width; x++, to += p->out.pixel) {
      const thimble_resize_place_f32 column =
          thimble_resize_place_f32_of(x, p->column_scale, p->centre, p->in.width);
      const int32_t left = column.low * p->in.pixel, right = column.high * p->in.pixel;
      for (int32_t c = 0; c < p->in.channels; c++) {
        to[c] = thimble_resize_between(upper[left + c], lower[left + c], upper[right + c], lower[right + c], row.part,
                                       column.part);
      }
    }
  }
}

/* As LiteRT does, in floats, rounded half up. */
THIMBLE_KERNEL void thimble_resize_bilinear_u8(const THIMBLE_FLASH thimble_resize_bilinear_f32_params *p,
                                               const uint8_t *in, uint8_t *out, int32_t begin, int32_t end) {
  for (int32_t y = begin; y < end; y++) {
    const thimble_resize_place_f32 row = thimble_resize_place_f32_of(y, p->row_scale, p->centre, p->in.height);
    const uint8_t *upper = in + thimble_row(&p->in, row.low), *lower = in + thimble_row(&p->in, row.high);
    uint8_t *to = out + thimble_row(&p->out, y);
    for (int32_t x = 0; x < p->out.width; x++, to += p->out.pixel) {
      const thimble_resize_place_f32 column =
          thimble_resize_place_f32_of(x, p->column_scale, p->centre, p->in.width);
      const int32_t left = column.low * p->in.pixel, right = column.high * p->in.pixel;
      for (int32_t c = 0; c < p->in.channels; c++) {
        const float mean = thimble_resize_between(
            (float)(upper[left + c] ^ p->flip), (float)(lower[left + c] ^ p->flip), (float)(upper[right + c] ^ p->flip),
            (float)(lower[right + c] ^ p->flip), row.part, column.part);
        to[c] = (uint8_t)((int32_t)(mean + 0.5f) ^ p->flip);
      }
    }
  }
}

#endif
