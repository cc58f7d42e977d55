/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D and FULLY_CONNECTED on int8 with packed arithmetic: three pixels times two filters at once.
 *
 * The windows of three pixels are spread out as int16 values (a patch, see dot_dsp.h). Zero points are in the bias;
 * outside the image stands the zero point. Reads row by row; writes three pixels at a time, of those the last first,
 * after their windows have been read: a pointwise convolution with as many channels before as after may be in place.
 * Otherwise input and output must not overlap. */
#ifndef THIMBLE_CONV_2D_S8_DSP_H
#define THIMBLE_CONV_2D_S8_DSP_H

#include "dot_dsp.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t depth;  /* channels that a filter sees */
  int32_t taps;   /* kernel_h * kernel_w * depth */
  int32_t groups; /* of four taps, the last one filled up */
  int32_t in_zero;
  int32_t inside; /* 1 where no window leaves the image */
  thimble_output output;
} thimble_conv_2d_s8_dsp_params;

THIMBLE_INLINE int8_t *thimble_copy_run(int8_t *out, const int8_t *in, int32_t bytes) {
  int32_t i = 0;
  THIMBLE_UNROLL(4)
  for (; i + 4 <= bytes; i += 4) {
    memcpy(out + i, in + i, 4);
  }
  THIMBLE_UNROLL(4)
  for (; i < bytes; i++) {
    out[i] = in[i];
  }
  return out + bytes;
}

THIMBLE_INLINE int8_t *thimble_fill_run(int8_t *out, int32_t value, int32_t bytes) {
  for (int32_t i = 0; i < bytes; i++) {
    out[i] = (int8_t)value;
  }
  return out + bytes;
}

/* A row of a window: cells before the image, in it, and behind it. */
typedef struct {
  const int8_t *cells; /* the first of them in the image */
  int32_t before, there, behind;
} thimble_window_row;

THIMBLE_INLINE thimble_window_row thimble_conv_2d_s8_dsp_row(const THIMBLE_FLASH thimble_conv_2d_s8_dsp_params *p,
                                                             const int8_t *in, int32_t y, int32_t x) {
  thimble_window_row row = {in, 0, p->kernel_w, 0};
  if (!p->inside) {
    const int32_t far = p->in.width - x; /* the first column behind the image */
    row.before = x < 0 ? thimble_min((p->dilation_w - 1 - x) / p->dilation_w, p->kernel_w) : 0;
    row.behind = p->kernel_w - thimble_min((far + p->dilation_w - 1) / p->dilation_w, p->kernel_w);
    if (y < 0 || y >= p->in.height || row.before + row.behind > p->kernel_w) {
      row.before = p->kernel_w;
      row.behind = 0;
      y = 0;
    }
    row.there = p->kernel_w - row.before - row.behind;
  }
  if (row.there > 0) {
    row.cells = in + thimble_row(&p->in, y) + (x + row.before * p->dilation_w) * p->in.pixel;
  }
  return row;
}

/* The window whose first tap is at row y and column x, byte by byte. */
THIMBLE_INLINE void thimble_conv_2d_s8_dsp_window(const THIMBLE_FLASH thimble_conv_2d_s8_dsp_params *p,
                                                  const int8_t *in, int32_t y, int32_t x, int8_t *window) {
  const int32_t dense = p->kernel_w == 1 || (p->dilation_w == 1 && p->in.pixel == p->depth);
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const thimble_window_row row = thimble_conv_2d_s8_dsp_row(p, in, y + i * p->dilation_h, x);
    if (dense && row.there == p->kernel_w) {
      window = thimble_copy_run(window, row.cells, p->kernel_w * p->depth);
      continue;
    }
    window = thimble_fill_run(window, p->in_zero, row.before * p->depth);
    const int8_t *cells = row.cells;
    for (int32_t j = 0; j < row.there; j++) {
      window = thimble_copy_run(window, cells, p->depth);
      cells += p->dilation_w * p->in.pixel;
    }
    window = thimble_fill_run(window, p->in_zero, row.behind * p->depth);
  }
}

/* One pixel's patch; cells go straight from the image where they are whole words. */
THIMBLE_INLINE void thimble_conv_2d_s8_dsp_patch(const THIMBLE_FLASH thimble_conv_2d_s8_dsp_params *p,
                                                 const int8_t *in, int32_t y, int32_t x, thimble_word *patch,
                                                 int8_t *window) {
  const int32_t run = p->kernel_w * p->depth, packed = p->output.packed, words = p->depth / 4;
  const int32_t dense = p->kernel_w == 1 || (p->dilation_w == 1 && p->in.pixel == p->depth);
  const uint32_t zeros = (uint32_t)(p->in_zero & 0xFF) * 0x01010101u;
  if (!dense || run % 4 != 0 || (!p->inside && p->depth % 4 != 0)) {
    thimble_conv_2d_s8_dsp_window(p, in, y, x, window);
    thimble_spread(window, patch, p->groups, THIMBLE_TILE_PIXELS, packed);
    return;
  }
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const thimble_window_row row = thimble_conv_2d_s8_dsp_row(p, in, y + i * p->dilation_h, x);
    if (row.there == p->kernel_w) {
      patch = thimble_spread(row.cells, patch, run / 4, THIMBLE_TILE_PIXELS, packed);
      continue;
    }
    patch = thimble_spread_same(zeros, patch, row.before * words, THIMBLE_TILE_PIXELS, packed);
    patch = thimble_spread(row.cells, patch, row.there * words, THIMBLE_TILE_PIXELS, packed);
    patch = thimble_spread_same(zeros, patch, row.behind * words, THIMBLE_TILE_PIXELS, packed);
  }
}

/* All filters over the pixels of a tile, of which `count` are there; the others are overwritten by the first. Where
 * that happens once only, the code for two pixels is not worth its size. */
THIMBLE_INLINE void thimble_conv_2d_s8_dsp_pixels(const THIMBLE_FLASH thimble_conv_2d_s8_dsp_params *p,
                                                  thimble_tile *tile, const THIMBLE_FLASH int32_t *filters,
                                                  int32_t count, int32_t once) {
  const int32_t paired = p->out.channels / 2 * 2;
  for (int32_t i = count; i < THIMBLE_TILE_PIXELS; i++) {
    tile->out[i] = tile->out[0];
  }
  tile->filters = (const thimble_word *)filters;
  tile->end = tile->out[0] + paired;
  if (paired > 0 && (once || count == THIMBLE_TILE_PIXELS)) {
    thimble_tile_run(&p->output, tile);
  } else if (paired > 0) {
    thimble_duo_run(&p->output, tile);
  }
  if (paired < p->out.channels) {
    for (int32_t i = count - 1; i >= 0; i--) {
      thimble_single(&p->output, tile->filters, tile->patch + i, p->groups, THIMBLE_TILE_PIXELS, tile->out[i]);
    }
  }
}

/* Rows [begin, end) of the output. For each pair of filters, `filters` holds two biases, the words, and two scales; for
 * a last one alone the same of one. Work space: seven words per group of taps, six for the patches and one for a
 * window. */
THIMBLE_KERNEL void thimble_conv_2d_s8_dsp(const THIMBLE_FLASH thimble_conv_2d_s8_dsp_params *p, const int8_t *in,
                                           const THIMBLE_FLASH int32_t *filters, int8_t *out, void *scratch,
                                           int32_t begin, int32_t end) {
  thimble_word *patch = (thimble_word *)scratch;
  int8_t *window = (int8_t *)(patch + 2 * THIMBLE_TILE_PIXELS * p->groups);
  const uint32_t low = (uint32_t)(p->output.low & 0xFFFF), high = (uint32_t)(p->output.high & 0xFFFF);
  thimble_tile tile = {{NULL, NULL, NULL}, patch,     0,   NULL, NULL, low | low << 16,
                       high | high << 16,  p->groups, NULL};
  int32_t count = 0;
  for (int32_t y = begin; y < end; y++) {
    int8_t *pixel = out + thimble_row(&p->out, y);
    for (int32_t x = 0; x < p->out.width; x++) {
      thimble_conv_2d_s8_dsp_patch(p, in, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left, patch + count,
                                   window);
      tile.out[count++] = pixel;
      pixel += p->out.pixel;
      if (count == THIMBLE_TILE_PIXELS || (x + 1 == p->out.width && y + 1 == end)) {
        thimble_conv_2d_s8_dsp_pixels(p, &tile, filters, count, begin == 0 && end == p->out.height);
        count = 0;
      }
    }
  }
}

#endif
