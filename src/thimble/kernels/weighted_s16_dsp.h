/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D, FULLY_CONNECTED and DEPTHWISE_CONV_2D on int16 with weights of int8 and packed arithmetic: two products per
 * instruction, of four filters or channels at once. There are no zero points, and int32 holds all sums. Input and
 * output must not overlap. Writes in order. */
#ifndef THIMBLE_WEIGHTED_S16_DSP_H
#define THIMBLE_WEIGHTED_S16_DSP_H

#include "window_s16.h"

/* A window times four filters, `groups` of four elements, plus biases. */
THIMBLE_INLINE void thimble_dot_s16_dsp(const int16_t *x, const thimble_word *w, int32_t groups, const int32_t *bias,
                                        int32_t sums[4]) {
  int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3];
  THIMBLE_UNROLL(2)
  for (int32_t i = 0; i < groups; i++) {
    const uint32_t first = thimble_load((const int8_t *)x), second = thimble_load((const int8_t *)(x + 2));
    a = thimble_dual_mac(second, thimble_odd(w[0]), thimble_dual_mac(first, thimble_even(w[0]), a));
    b = thimble_dual_mac(second, thimble_odd(w[1]), thimble_dual_mac(first, thimble_even(w[1]), b));
    c = thimble_dual_mac(second, thimble_odd(w[2]), thimble_dual_mac(first, thimble_even(w[2]), c));
    d = thimble_dual_mac(second, thimble_odd(w[3]), thimble_dual_mac(first, thimble_even(w[3]), d));
    x += 4;
    w += 4;
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

/* Rows [begin, end) of the output. Weights: for each four filters their words of four taps in turn, in a word the
 * first and the second tap at bytes 0 and 2. Work space: a window, up to whole words, unless it is a pixel of those. */
THIMBLE_KERNEL void thimble_conv_2d_s16_dsp(const THIMBLE_FLASH thimble_weighted_params *p, const int16_t *in,
                                            const THIMBLE_FLASH int32_t *weights, const THIMBLE_FLASH int32_t *bias,
                                            const THIMBLE_FLASH int32_t *scales, int16_t *out, void *scratch,
                                            int32_t begin, int32_t end) {
  const THIMBLE_FLASH thimble_weighted_window *w = &p->over;
  const int32_t groups = (w->kernel_h * w->kernel_w * w->depth + 3) / 4;
  const int32_t direct = w->kernel_h * w->kernel_w == 1 && w->depth % 4 == 0;
  for (int32_t y = begin; y < end; y++) {
    const thimble_span rows = thimble_rows_of(w, y);
    for (int32_t x = 0; x < w->out.width; x++) {
      const int16_t *window = thimble_window_s16(w, in, &rows, x, direct, (int16_t *)scratch);
      const thimble_word *words = (const thimble_word *)weights;
      const THIMBLE_FLASH int32_t *scale = scales;
      int16_t *pixel = out + thimble_row(&w->out, y) + x * w->out.pixel;
      for (int32_t o = 0; o < w->out.channels; o += 4) {
        int32_t sums[4];
        thimble_dot_s16_dsp(window, words, groups, bias + o, sums);
        thimble_outputs_s16(p, sums, scale, pixel + o, w->out.channels - o);
        words += 4 * groups;
        scale += THIMBLE_SCALE_WORDS_S16;
      }
    }
  }
}

/* Four channels of a window, each by its own filter, plus biases. */
THIMBLE_INLINE void thimble_channels_s16_dsp(const THIMBLE_FLASH thimble_weighted_window *w, const int16_t *in,
                                             const int8_t *weights, const thimble_span *rows,
                                             const thimble_span *columns, const int32_t *bias, int32_t sums[4]) {
  int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3];
  for (int32_t i = 0; i < rows->count; i++) {
    const int16_t *cells = in + thimble_cell_of(w, rows, columns, i, 0);
    const int8_t *taps = weights + thimble_tap_of(w, rows, columns, i, 0);
    for (int32_t j = 0; j < columns->count; j++) {
      const uint32_t first = thimble_load((const int8_t *)cells), second = thimble_load((const int8_t *)(cells + 2));
      const uint32_t even = thimble_even(thimble_load(taps)), odd = thimble_odd(thimble_load(taps));
      a = thimble_low_mac(first, even, a);
      b = thimble_low_high_mac(odd, first, b);
      c = thimble_low_high_mac(second, even, c);
      d = thimble_high_mac(second, odd, d);
      cells += w->dilation_w * w->in.pixel;
      taps += w->tap;
    }
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

/* Rows [begin, end) of the output; a filter per channel, weights as in the model. */
THIMBLE_KERNEL void thimble_depthwise_conv_2d_s16_dsp(const THIMBLE_FLASH thimble_weighted_params *p,
                                                      const int16_t *in, const THIMBLE_FLASH int8_t *weights,
                                                      const THIMBLE_FLASH int32_t *bias,
                                                      const THIMBLE_FLASH int32_t *scales, int16_t *out,
                                                      int32_t begin, int32_t end) {
  const THIMBLE_FLASH thimble_weighted_window *w = &p->over;
  const int32_t whole = w->out.channels / 4 * 4, rest = w->out.channels - whole;
  for (int32_t y = begin; y < end; y++) {
    const thimble_span rows = thimble_rows_of(w, y);
    for (int32_t x = 0; x < w->out.width; x++) {
      const thimble_span columns = thimble_columns_of(w, x);
      const THIMBLE_FLASH int32_t *scale = scales;
      int16_t *pixel = out + thimble_row(&w->out, y) + x * w->out.pixel;
      int32_t sums[4];
      for (int32_t o = 0; o < whole; o += 4, scale += THIMBLE_SCALE_WORDS_S16) {
        thimble_channels_s16_dsp(w, in + o, weights + o, &rows, &columns, bias + o, sums);
        thimble_outputs_s16(p, sums, scale, pixel + o, 4);
      }
      for (int32_t i = 0; i < rest; i++) { /* fewer than a word */
        const int32_t o = whole + i;
        sums[i] = bias[o] + (int32_t)thimble_weighted_s16_sum(p, in + o, weights + o, &rows, &columns);
      }
      thimble_outputs_s16(p, sums, scale, pixel + whole, rest);
    }
  }
}

#endif
