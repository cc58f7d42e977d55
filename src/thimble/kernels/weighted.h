/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of weights over an image: what CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED (windows of 1 x 1 on an image
 * one pixel wide) and TRANSPOSE_CONV have in common. Weights lie as in the model. */
#ifndef THIMBLE_WEIGHTED_H
#define THIMBLE_WEIGHTED_H

#include "fixed_point.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t transposed;  /* the window's cells lie a stride apart in the output instead of in the input */
  int32_t depth;       /* input channels that a filter sees */
  int32_t filters;     /* filters that see the same channels; the next ones see the next `depth` channels */
  int32_t filter, tap; /* elements from one filter's weights to the next one's, and from one tap's to the next */
  int32_t biased;      /* whether there is a bias */
} thimble_weighted_window;

/* For integers. Scales are pairs (multiplier, shift): `scales` is 2 if there is one per filter, 0 if one for all. */
typedef struct {
  thimble_weighted_window over;
  int32_t in_zero, weight_zero, out_zero;
  int32_t low, high; /* of results, before `out_zero` is added */
  int32_t scales;
  int32_t wide;    /* int16: sums and bias have 64 bits, and scales are those of thimble_scale_wide */
  int32_t nibbles; /* weights of 4 bits, two to a byte, the low half first */
} thimble_weighted_params;

typedef struct {
  thimble_weighted_window over;
  float low, high;
} thimble_weighted_f32_params;

/* The taps of a window that meet the image, along one axis. */
typedef struct {
  int32_t cell, cell_step; /* the cell under the first tap, and from there to the next tap's */
  int32_t tap, tap_step;
  int32_t count; /* may be negative where no tap meets the image */
} thimble_span;

THIMBLE_INLINE thimble_span thimble_span_of(int32_t transposed, int32_t at, int32_t size, int32_t kernel,
                                            int32_t stride, int32_t dilation, int32_t pad) {
  thimble_span span;
  if (transposed) { /* taps i with at + pad = cell * stride + i, from the last such cell on */
    const int32_t place = at + pad;
    span.cell = thimble_min(place / stride, size - 1);
    span.cell_step = -1;
    span.tap = place - span.cell * stride;
    span.tap_step = stride;
    span.count = thimble_min(span.cell + 1, (kernel - span.tap + stride - 1) / stride);
  } else {
    const int32_t start = at * stride - pad;
    span.tap = start < 0 ? (dilation - 1 - start) / dilation : 0;
    span.tap_step = 1;
    span.cell = start + span.tap * dilation;
    span.cell_step = dilation;
    span.count = thimble_min(kernel, (size - start + dilation - 1) / dilation) - span.tap;
  }
  return span;
}

THIMBLE_INLINE thimble_span thimble_rows_of(const THIMBLE_FLASH thimble_weighted_window *w, int32_t y) {
  return thimble_span_of(w->transposed, y, w->in.height, w->kernel_h, w->stride_h, w->dilation_h, w->pad_top);
}

THIMBLE_INLINE thimble_span thimble_columns_of(const THIMBLE_FLASH thimble_weighted_window *w, int32_t x) {
  return thimble_span_of(w->transposed, x, w->in.width, w->kernel_w, w->stride_w, w->dilation_w, w->pad_left);
}

/* First channel of the cell under tap (i, j) of a window, and first weight of that tap, counted from the first of
 * the image and of the filter. */
THIMBLE_INLINE int32_t thimble_cell_of(const THIMBLE_FLASH thimble_weighted_window *w, const thimble_span *rows,
                                       const thimble_span *columns, int32_t i, int32_t j) {
  return thimble_row(&w->in, rows->cell + i * rows->cell_step) + (columns->cell + j * columns->cell_step) * w->in.pixel;
}

THIMBLE_INLINE int32_t thimble_tap_of(const THIMBLE_FLASH thimble_weighted_window *w, const thimble_span *rows,
                                      const thimble_span *columns, int32_t i, int32_t j) {
  return ((rows->tap + i * rows->tap_step) * w->kernel_w + columns->tap + j * columns->tap_step) * w->tap;
}

#endif
