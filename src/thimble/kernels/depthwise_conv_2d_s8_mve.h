/* SPDX-License-Identifier: Apache-2.0 */
/* DEPTHWISE_CONV_2D on int8 with Helium, for one output channel per input channel: 16 channels at once.
 *
 * Products of int8 are int16; those of two taps are added before they are widened to int32, which cannot overflow as
 * weights are at most 127 in magnitude (the lowering checks). Widening takes every other lane, so that four sums hold
 * channels 0 4 8 12, 2 6 10 14, 1 5 9 13 and 3 7 11 15; biases, multipliers and shifts are stored in that order, and
 * narrowing puts the channels in order again. Taps outside the image read a pixel of zero points. Input and output must
 * not overlap. Reads tap by tap, writes pixel by pixel. */
#ifndef THIMBLE_DEPTHWISE_CONV_2D_S8_MVE_H
#define THIMBLE_DEPTHWISE_CONV_2D_S8_MVE_H

#include "mve.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t in_zero;
  thimble_output_mve output;
} thimble_depthwise_conv_2d_s8_mve_params;

#if defined(THIMBLE_MVE)

/* Up to 16 channels of one pixel: `taps` pointers to input pixels, weights `channels` apart. */
THIMBLE_INLINE void thimble_depthwise_sixteen(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_mve_params *p,
                                              const int8_t *const *cells, int32_t from, int32_t taps,
                                              const THIMBLE_FLASH int8_t *weights,
                                              const THIMBLE_FLASH int32_t *channel, int8_t *out, int32_t count) {
  const int32_t step = p->out.channels, whole = step % 16 == 0;
  const mve_pred16_t lanes = whole ? 0 : vctp8q((uint32_t)count);
  int32x4_t a = vldrwq_s32(channel), b = vldrwq_s32(channel + 4), c = vldrwq_s32(channel + 8);
  int32x4_t d = vldrwq_s32(channel + 12);
  for (int32_t t = 0; t < taps; t += 2) {
    int8x16_t x = whole ? vldrbq_s8(cells[t] + from) : vldrbq_z_s8(cells[t] + from, lanes);
    int8x16_t w = whole ? vldrbq_s8(weights) : vldrbq_z_s8(weights, lanes);
    int16x8_t even = vmullbq_int_s8(x, w), odd = vmulltq_int_s8(x, w);
    if (t + 1 < taps) {
      x = whole ? vldrbq_s8(cells[t + 1] + from) : vldrbq_z_s8(cells[t + 1] + from, lanes);
      w = whole ? vldrbq_s8(weights + step) : vldrbq_z_s8(weights + step, lanes);
      even = vaddq_s16(even, vmullbq_int_s8(x, w));
      odd = vaddq_s16(odd, vmulltq_int_s8(x, w));
    }
    a = vaddq_s32(a, vmovlbq_s16(even));
    b = vaddq_s32(b, vmovltq_s16(even));
    c = vaddq_s32(c, vmovlbq_s16(odd));
    d = vaddq_s32(d, vmovltq_s16(odd));
    weights += 2 * step;
  }
  a = thimble_scale_four(&p->output, a, vldrwq_s32(channel + 16), vldrwq_s32(channel + 32));
  b = thimble_scale_four(&p->output, b, vldrwq_s32(channel + 20), vldrwq_s32(channel + 36));
  c = thimble_scale_four(&p->output, c, vldrwq_s32(channel + 24), vldrwq_s32(channel + 40));
  d = thimble_scale_four(&p->output, d, vldrwq_s32(channel + 28), vldrwq_s32(channel + 44));
  int16x8_t even = vqmovnbq_s32(vuninitializedq_s16(), a), odd = vqmovnbq_s32(vuninitializedq_s16(), c);
  even = vqmovntq_s32(even, b);
  odd = vqmovntq_s32(odd, d);
  int8x16_t result = vqmovntq_s16(vqmovnbq_s16(vuninitializedq_s8(), even), odd);
  if (p->output.low > -128) {
    result = vmaxq_s8(result, vdupq_n_s8((int8_t)p->output.low));
  }
  if (p->output.high < 127) {
    result = vminq_s8(result, vdupq_n_s8((int8_t)p->output.high));
  }
  if (whole) {
    vstrbq_s8(out, result);
  } else {
    vstrbq_p_s8(out, result, lanes);
  }
}

#else

THIMBLE_INLINE void thimble_depthwise_sixteen(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_mve_params *p,
                                              const int8_t *const *cells, int32_t from, int32_t taps,
                                              const THIMBLE_FLASH int8_t *weights,
                                              const THIMBLE_FLASH int32_t *channel, int8_t *out, int32_t count) {
  static const uint8_t place[16] = {0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15};
  for (int32_t i = 0; i < 16 && i < count; i++) {
    int32_t sum = 0;
    for (int32_t t = 0; t < taps; t++) {
      sum += cells[t][from + i] * weights[t * p->out.channels + i];
    }
    const THIMBLE_FLASH int32_t *own = channel + place[i];
    const int32_t total = (int32_t)((uint32_t)sum + (uint32_t)own[0]);
    const int32_t scaled = thimble_rescale(total, own[16], own[32]) + p->output.zero;
    out[i] = (int8_t)thimble_clamp(scaled, p->output.low, p->output.high);
  }
}

#endif

/* Where each tap of a window is: its first one at row y and column x. */
THIMBLE_INLINE void thimble_depthwise_cells(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_mve_params *p,
                                            const int8_t *in, int32_t y, int32_t x, const int8_t *outside,
                                            const int8_t **cells) {
  const int32_t right = x + (p->kernel_w - 1) * p->dilation_w;
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const int32_t row = y + i * p->dilation_h;
    const int32_t inside = row >= 0 && row < p->in.height;
    const int8_t *cell = (inside ? in + thimble_row(&p->in, row) : in) + x * p->in.pixel;
    for (int32_t j = 0; j < p->kernel_w; j++) {
      const int32_t column = x + j * p->dilation_w;
      const int32_t there = inside && ((x >= 0 && right < p->in.width) || (column >= 0 && column < p->in.width));
      *cells++ = there ? cell : outside;
      cell += p->dilation_w * p->in.pixel;
    }
  }
}

/* Rows [begin, end) of the output. `channels` holds, per 16 channels in the order above, biases, multipliers and
 * shifts. Work space: a pointer per tap, then a pixel of zero points. */
THIMBLE_KERNEL void thimble_depthwise_conv_2d_s8_mve(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_mve_params *p,
                                                     const int8_t *in, const THIMBLE_FLASH int8_t *weights,
                                                     const THIMBLE_FLASH int32_t *channels, int8_t *out,
                                                     void *scratch, int32_t begin, int32_t end) {
  const int32_t taps = p->kernel_h * p->kernel_w;
  const int8_t **cells = (const int8_t **)scratch;
  int8_t *outside = (int8_t *)(cells + taps);
  thimble_fill_mve(outside, p->in_zero, p->in.channels);
  for (int32_t y = begin; y < end; y++) {
    for (int32_t x = 0; x < p->out.width; x++) {
      const int32_t top = y * p->stride_h - p->pad_top, left = x * p->stride_w - p->pad_left;
      thimble_depthwise_cells(p, in, top, left, outside, cells);
      int8_t *pixel = out + thimble_row(&p->out, y) + x * p->out.pixel;
      for (int32_t c = 0; c < p->out.channels; c += 16) {
        thimble_depthwise_sixteen(p, cells, c, taps, weights + c, channels + 3 * c, pixel + c, p->out.channels - c);
      }
    }
  }
}

#endif
