/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D and FULLY_CONNECTED on int8 with packed arithmetic: two pixels times two filters at once.
 *
 * The windows of two pixels are spread out as doubled int16 values (a patch), so that one SMLAD counts two taps and
 * requantization needs no doubling. Filters come in pairs, their words interleaved: four taps of the one, four of the
 * other; an odd last filter stands alone. Zero points are in the bias; outside the image stands the zero point.
 * Input and output must not overlap. Reads row by row, writes pixel by pixel. */
#ifndef THIMBLE_CONV_2D_S8_DSP_H
#define THIMBLE_CONV_2D_S8_DSP_H

#include "dot_dsp.h"
#include "requantize_dsp.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t depth;  /* channels of the input */
  int32_t taps;   /* kernel_h * kernel_w * depth */
  int32_t groups; /* of four taps, the last one filled up */
  int32_t in_zero;
  thimble_output output;
} thimble_conv_2d_s8_dsp_params;

THIMBLE_INLINE void thimble_copy_run(int8_t *out, const int8_t *in, int32_t bytes) {
  int32_t i = 0;
  for (; i + 4 <= bytes; i += 4) {
    memcpy(out + i, in + i, 4);
  }
  for (; i < bytes; i++) {
    out[i] = in[i];
  }
}

/* The window whose first tap is at row y and column x, byte by byte, the zero point outside the image. */
THIMBLE_INLINE void thimble_conv_2d_s8_dsp_window(const THIMBLE_FLASH thimble_conv_2d_s8_dsp_params *p,
                                                  const int8_t *in, int32_t y, int32_t x, int8_t *window) {
  const int32_t run = p->kernel_w * p->depth;
  const int32_t dense = p->dilation_w == 1 && p->in.pixel == p->depth;
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const int32_t row = y + i * p->dilation_h;
    const int32_t inside = row >= 0 && row < p->in.height;
    const int8_t *line = inside ? in + thimble_row(&p->in, row) + x * p->in.pixel : in;
    if (dense && inside && x >= 0 && x + p->kernel_w <= p->in.width) {
      thimble_copy_run(window, line, run);
      window += run;
      continue;
    }
    for (int32_t j = 0; j < p->kernel_w; j++) {
      const int32_t column = x + j * p->dilation_w;
      if (inside && column >= 0 && column < p->in.width) {
        thimble_copy_run(window, line + j * p->dilation_w * p->in.pixel, p->depth);
      } else {
        memset(window, p->in_zero, (size_t)p->depth);
      }
      window += p->depth;
    }
  }
}

/* One pixel's patch. Whole rows of the window go straight from the image where they are whole words. */
THIMBLE_INLINE void thimble_conv_2d_s8_dsp_patch(const THIMBLE_FLASH thimble_conv_2d_s8_dsp_params *p,
                                                 const int8_t *in, int32_t y, int32_t x, thimble_word *patch,
                                                 int8_t *window) {
  const int32_t run = p->kernel_w * p->depth;
  const int32_t straight = run % 4 == 0 && p->dilation_w == 1 && p->in.pixel == p->depth;
  const int32_t inside = y >= 0 && x >= 0 && y + (p->kernel_h - 1) * p->dilation_h < p->in.height &&
                         x + p->kernel_w <= p->in.width;
  if (straight && inside) {
    for (int32_t i = 0; i < p->kernel_h; i++) {
      const int8_t *line = in + thimble_row(&p->in, y + i * p->dilation_h) + x * p->in.pixel;
      thimble_spread(line, patch + i * (run / 4) * THIMBLE_PATCH_GROUP, run / 4, p->output.doubled);
    }
    return;
  }
  thimble_conv_2d_s8_dsp_window(p, in, y, x, window);
  thimble_spread(window, patch, p->groups, p->output.doubled);
}

/* Two filters over two pixels. Returns what follows them in the filters. */
THIMBLE_INLINE const thimble_word *thimble_conv_2d_s8_dsp_pair(const THIMBLE_FLASH thimble_conv_2d_s8_dsp_params *p,
                                                               const thimble_word *patch, const thimble_word *filter,
                                                               int8_t *first, int8_t *second) {
  const thimble_quad bias = {(int32_t)filter[0], (int32_t)filter[0], (int32_t)filter[1], (int32_t)filter[1]};
  filter += 2;
  const thimble_quad sum = thimble_quad_dot(&filter, patch, p->groups, bias);
  const int32_t *scale = (const int32_t *)filter;
  thimble_requantize_pair(&p->output, sum.s00, sum.s01, scale, first, second);
  thimble_requantize_pair(&p->output, sum.s10, sum.s11, scale + 3, first + 1, second + 1);
  return filter + 6;
}

/* One filter over one pixel. */
THIMBLE_INLINE int8_t thimble_conv_2d_s8_dsp_one(const THIMBLE_FLASH thimble_conv_2d_s8_dsp_params *p,
                                                 const thimble_word *patch, const thimble_word *filter) {
  int32_t sum = (int32_t)*filter++;
  for (int32_t i = 0; i < p->groups; i++) {
    sum = thimble_dual_mac(patch[0], thimble_even(*filter), sum);
    sum = thimble_dual_mac(patch[1], thimble_odd(*filter++), sum);
    patch += THIMBLE_PATCH_GROUP;
  }
  return thimble_requantize(&p->output, sum, (const int32_t *)filter);
}

/* All filters over two pixels. */
THIMBLE_INLINE void thimble_conv_2d_s8_dsp_pixels(const THIMBLE_FLASH thimble_conv_2d_s8_dsp_params *p,
                                                  const thimble_word *patch, const thimble_word *filter,
                                                  int8_t *first, int8_t *second) {
  int32_t o = 0;
  for (; o + 2 <= p->out.channels; o += 2) {
    filter = thimble_conv_2d_s8_dsp_pair(p, patch, filter, first + o, second + o);
  }
  if (o < p->out.channels) {
    first[o] = thimble_conv_2d_s8_dsp_one(p, patch, filter);
    second[o] = thimble_conv_2d_s8_dsp_one(p, patch + 2, filter);
  }
}

/* Rows [begin, end) of the output. For each pair of filters, `filters` holds two biases, the words, and multiplier, offset
 * and shift of both; for a last one alone the same of one. Work space: five words per group of
 * taps, four for the patches and one for a window. A last pixel without a partner is the second of a pair whose first
 * holds nothing, and is written after it. */
THIMBLE_KERNEL void thimble_conv_2d_s8_dsp(const THIMBLE_FLASH thimble_conv_2d_s8_dsp_params *p, const int8_t *in,
                                           const THIMBLE_FLASH int32_t *filters, int8_t *out, void *scratch,
                                           int32_t begin, int32_t end) {
  thimble_word *patch = (thimble_word *)scratch;
  int8_t *window = (int8_t *)(patch + THIMBLE_PATCH_GROUP * p->groups);
  int8_t *first = NULL;
  for (int32_t y = begin; y < end; y++) {
    for (int32_t x = 0; x < p->out.width; x++) {
      int8_t *pixel = out + thimble_row(&p->out, y) + x * p->out.pixel;
      const int32_t alone = first == NULL && y + 1 == end && x + 1 == p->out.width;
      const int32_t slot = first == NULL && !alone ? 0 : 2;
      thimble_conv_2d_s8_dsp_patch(p, in, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left, patch + slot,
                                   window);
      if (slot == 0) {
        first = pixel;
      } else {
        thimble_conv_2d_s8_dsp_pixels(p, patch, (const thimble_word *)filters, alone ? pixel : first, pixel);
        first = NULL;
      }
    }
  }
}

#endif
