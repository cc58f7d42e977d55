/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D, FULLY_CONNECTED and DEPTHWISE_CONV_2D on int16 with weights of int8 and Helium: eight
 * products per instruction, or those of four channels. Plain C with the same results elsewhere. There are no zero
 * points, and int32 holds all sums. Input and output must not overlap. Writes in order. */
#ifndef THIMBLE_WEIGHTED_S16_MVE_H
#define THIMBLE_WEIGHTED_S16_MVE_H

#include "mve.h"
#include "window_s16.h"

#if defined(THIMBLE_MVE)

/* `n` elements of a window times four filters that are `step` apart, plus biases. A function of its own, as it needs
 * nearly all registers; loads that widen take low ones. */
__attribute__((THIMBLE_OPAQUE, unused)) static int32x4_t thimble_dot_s16_mve(const int16_t *x, const int8_t *w,
                                                                              int32_t step, int32_t n,
                                                                              const int32_t *bias) {
  const int8_t *w1 = w + step, *w2 = w1 + step, *w3 = w2 + step;
  int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3];
  __asm__ volatile(
      "wlstp.16 lr, %[n], 2f\n"
      "1:\n\t"
      "vldrh.16 q0, [%[x]], #16\n\t"
      "vldrb.s16 q1, [%[w]], #8\n\tvmladava.s16 %[a], q0, q1\n\t"
      "vldrb.s16 q2, [%[w1]], #8\n\tvmladava.s16 %[b], q0, q2\n\t"
      "vldrb.s16 q3, [%[w2]], #8\n\tvmladava.s16 %[c], q0, q3\n\t"
      "vldrb.s16 q1, [%[w3]], #8\n\tvmladava.s16 %[d], q0, q1\n\t"
      "letp lr, 1b\n"
      "2:"
      : [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [d] "+Te"(d), [x] "+r"(x), [w] "+l"(w),
        [w1] "+l"(w1), [w2] "+l"(w2), [w3] "+l"(w3)
      : [n] "r"(n)
      : "q0", "q1", "q2", "q3", "lr", "memory", "cc");
  return vsetq_lane_s32(d, vsetq_lane_s32(c, vsetq_lane_s32(b, vdupq_n_s32(a), 1), 2), 3);
}

/* Up to four sums to `count` outputs. */
THIMBLE_INLINE void thimble_outputs_s16_mve(const thimble_weighted_params *p, int32x4_t sums, const int32_t *scale,
                                            int16_t *out, int32_t count) {
  int32x4_t v = vaddq_s32(vmulhq_s32(sums, vldrwq_s32(scale)), vldrwq_s32(scale + 4));
  v = vshlq_s32(v, vnegq_s32(vldrwq_s32(scale + 8)));
  v = vminq_s32(vmaxq_s32(v, vdupq_n_s32(p->low)), vdupq_n_s32(p->high));
  vstrhq_p_s32(out, vaddq_n_s32(v, p->out_zero), vctp32q((uint32_t)count));
}

/* Up to four channels of a window, each by its own filter, plus biases. */
THIMBLE_INLINE int32x4_t thimble_channels_s16_mve(const thimble_weighted_window *w, const int16_t *in,
                                                  const int8_t *weights, const thimble_span *rows,
                                                  const thimble_span *columns, int32_t count, const int32_t *bias) {
  const mve_pred16_t lanes = vctp32q((uint32_t)count);
  int32x4_t sum = vldrwq_s32(bias);
  for (int32_t i = 0; i < rows->count; i++) {
    const int16_t *cells = in + thimble_cell_of(w, rows, columns, i, 0);
    const int8_t *taps = weights + thimble_tap_of(w, rows, columns, i, 0);
    for (int32_t j = 0; j < columns->count; j++) {
      sum = vaddq_s32(sum, vmulq_s32(vldrhq_z_s32(cells, lanes), vldrbq_z_s32(taps, lanes)));
      cells += w->dilation_w * w->in.pixel;
      taps += w->tap;
    }
  }
  return sum;
}

#else

THIMBLE_INLINE thimble_four thimble_dot_s16_mve(const int16_t *x, const THIMBLE_FLASH int8_t *w, int32_t step,
                                                int32_t n, const THIMBLE_FLASH int32_t *bias) {
  int32_t sums[4];
  for (int32_t i = 0; i < 4; i++) {
    sums[i] = bias[i];
    for (int32_t c = 0; c < n; c++) {
      sums[i] += x[c] * w[i * step + c];
    }
  }
  return (thimble_four){sums[0], sums[1], sums[2], sums[3]};
}

THIMBLE_INLINE void thimble_outputs_s16_mve(const THIMBLE_FLASH thimble_weighted_params *p, thimble_four sums,
                                            const THIMBLE_FLASH int32_t *scale, int16_t *out, int32_t count) {
  const int32_t all[4] = {sums.a, sums.b, sums.c, sums.d};
  thimble_outputs_s16(p, all, scale, out, count);
}

THIMBLE_INLINE thimble_four thimble_channels_s16_mve(const THIMBLE_FLASH thimble_weighted_window *w, const int16_t *in,
                                                     const THIMBLE_FLASH int8_t *weights, const thimble_span *rows,
                                                     const thimble_span *columns, int32_t count,
                                                     const THIMBLE_FLASH int32_t *bias) {
  int32_t sums[4] = {0, 0, 0, 0};
  for (int32_t o = 0; o < 4 && o < count; o++) {
    sums[o] = bias[o];
    for (int32_t i = 0; i < rows->count; i++) {
      for (int32_t j = 0; j < columns->count; j++) {
        const int32_t x = in[thimble_cell_of(w, rows, columns, i, j) + o];
        sums[o] += x * weights[thimble_tap_of(w, rows, columns, i, j) + o];
      }
    }
  }
  return (thimble_four){sums[0], sums[1], sums[2], sums[3]};
}

#endif

/* Rows [begin, end) of the output. Weights as in the model, up to a multiple of four filters. Work space: a window,
 * unless it is one pixel. */
THIMBLE_KERNEL void thimble_conv_2d_s16_mve(const THIMBLE_FLASH thimble_weighted_params *p, const int16_t *in,
                                            const THIMBLE_FLASH int8_t *weights, const THIMBLE_FLASH int32_t *bias,
                                            const THIMBLE_FLASH int32_t *scales, int16_t *out, void *scratch,
                                            int32_t begin, int32_t end) {
  const THIMBLE_FLASH thimble_weighted_window *w = &p->over;
  const int32_t taps = w->kernel_h * w->kernel_w * w->depth;
  for (int32_t y = begin; y < end; y++) {
    const thimble_span rows = thimble_rows_of(w, y);
    for (int32_t x = 0; x < w->out.width; x++) {
      const int16_t *window = thimble_window_s16(w, in, &rows, x, taps == w->depth, (int16_t *)scratch);
      int16_t *pixel = out + thimble_row(&w->out, y) + x * w->out.pixel;
      for (int32_t o = 0; o < w->out.channels; o += 4) {
        thimble_outputs_s16_mve(p, thimble_dot_s16_mve(window, weights + o * taps, taps, taps, bias + o),
                                scales + o / 4 * THIMBLE_SCALE_WORDS_S16, pixel + o, w->out.channels - o);
      }
    }
  }
}

/* Rows [begin, end) of the output; a filter per channel, weights as in the model. */
THIMBLE_KERNEL void thimble_depthwise_conv_2d_s16_mve(const THIMBLE_FLASH thimble_weighted_params *p,
                                                      const int16_t *in, const THIMBLE_FLASH int8_t *weights,
                                                      const THIMBLE_FLASH int32_t *bias,
                                                      const THIMBLE_FLASH int32_t *scales, int16_t *out,
                                                      int32_t begin, int32_t end) {
  const THIMBLE_FLASH thimble_weighted_window *w = &p->over;
  for (int32_t y = begin; y < end; y++) {
    const thimble_span rows = thimble_rows_of(w, y);
    for (int32_t x = 0; x < w->out.width; x++) {
      const thimble_span columns = thimble_columns_of(w, x);
      int16_t *pixel = out + thimble_row(&w->out, y) + x * w->out.pixel;
      for (int32_t o = 0; o < w->out.channels; o += 4) {
        const int32_t count = w->out.channels - o;
        thimble_outputs_s16_mve(
            p, thimble_channels_s16_mve(w, in + o, weights + o, &rows, &columns, count, bias + o),
            scales + o / 4 * THIMBLE_SCALE_WORDS_S16, pixel + o, count);
      }
    }
  }
}

#endif
