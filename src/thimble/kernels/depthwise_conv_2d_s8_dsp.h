/* SPDX-License-Identifier: Apache-2.0 */
/* DEPTHWISE_CONV_2D on int8 with packed arithmetic, for one output channel per input channel and filters 3 wide.
 *
 * Four channels at a time: the input rows under the filter are turned into a band per channel, in which a word holds
 * two neighbouring columns as int16, and the words of all rows for one pair of columns follow each other. Outside the
 * image stands the zero point. Two output columns then take, per filter row, two or three words and four
 * multiplications. Rows of the band are a ring; the filter's rows are kept twice in a row, so that the ring may begin
 * anywhere. Input and output must not overlap. If the channels are no multiple of four, the last four are computed
 * although some of them were before. */
#ifndef THIMBLE_DEPTHWISE_CONV_2D_S8_DSP_H
#define THIMBLE_DEPTHWISE_CONV_2D_S8_DSP_H

#include "dot_dsp.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, stride_h, stride_w, pad_top, pad_left;
  int32_t pairs; /* of columns in a band, the borders included */
  int32_t in_zero;
  thimble_output output;
} thimble_depthwise_conv_2d_s8_dsp_params;

/* Two columns of four channels to a word for each channel; `step` is from one channel to the next. */
THIMBLE_INLINE void thimble_turn(uint32_t x, uint32_t y, thimble_word *band, int32_t step) {
  const uint32_t a = thimble_even(x), b = thimble_odd(x), c = thimble_even(y), d = thimble_odd(y);
  band[0] = thimble_pack_low(a, c);
  band[step] = thimble_pack_low(b, d);
  band[2 * step] = thimble_pack_high(a, c);
  band[3 * step] = thimble_pack_high(b, d);
}

/* A row of the input into the bands of four channels; rows outside the image are zero points. */
THIMBLE_INLINE void thimble_depthwise_band(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                           const int8_t *in, int32_t y, thimble_word *band) {
  const uint32_t zero = (uint32_t)(p->in_zero & 0xFF) * 0x01010101u;
  const int32_t step = p->pairs * p->kernel_h, width = y >= 0 && y < p->in.height ? p->in.width : 0;
  const int8_t *line = in + (width ? thimble_row(&p->in, y) : 0);
  int32_t x = -p->pad_left;
  for (int32_t i = 0; i < p->pairs; i++, x += 2) {
    uint32_t a = zero, b = zero;
    if (x >= 0 && x + 1 < width) {
      a = thimble_load(line + x * p->in.pixel);
      b = thimble_load(line + (x + 1) * p->in.pixel);
    } else if (x >= 0 && x < width) {
      a = thimble_load(line + x * p->in.pixel);
    } else if (x + 1 >= 0 && x + 1 < width) {
      b = thimble_load(line + (x + 1) * p->in.pixel);
    }
    thimble_turn(a, b, band, step);
    band += p->kernel_h;
  }
}

/* A channel's filter rows, doubled, as words (0 and 1, 1 and 2), all rows twice. */
THIMBLE_INLINE void thimble_depthwise_filter(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                             const THIMBLE_FLASH int8_t *weights, thimble_word *filter) {
  const int32_t channels = p->out.channels;
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const uint32_t a = (uint32_t)(2 * weights[0]) & 0xFFFFu, b = (uint32_t)(2 * weights[channels]) & 0xFFFFu;
    const uint32_t c = (uint32_t)(2 * weights[2 * channels]) & 0xFFFFu;
    filter[2 * i] = filter[2 * (i + p->kernel_h)] = a | b << 16;
    filter[2 * i + 1] = filter[2 * (i + p->kernel_h) + 1] = b | c << 16;
    weights += 3 * channels;
  }
}

/* Two neighbouring outputs of one channel. */
typedef struct {
  int32_t a, b;
} thimble_depthwise_sums;

#if defined(THIMBLE_DOT_ASSEMBLY)

#define THIMBLE_DEPTHWISE_FIRST(x, w) "smlad %[a], %[" x "], %[" w "], %[a]\n\tsmlatb %[b], %[" x "], %[" w "], %[b]\n\t"
#define THIMBLE_DEPTHWISE_LAST(x, w) "smlabt %[a], %[" x "], %[" w "], %[a]\n\tsmlad %[b], %[" x "], %[" w "], %[b]\n\t"

/* Three filter rows, stride 1: 15 instructions for 18 products. */
THIMBLE_INLINE thimble_depthwise_sums thimble_depthwise_3x3(const thimble_word *cells, const thimble_word *w,
                                                            int32_t bias) {
  int32_t a = bias, b = bias;
  uint32_t x, y;
  __asm__("ldrd %[x], %[y], [%[p]]\n\t" /* rows 0 and 1 of the first two columns */
          THIMBLE_DEPTHWISE_FIRST("x", "u0") THIMBLE_DEPTHWISE_FIRST("y", "u1")
          "ldrd %[x], %[y], [%[p], #8]\n\t" /* row 2, and row 0 of the next two columns */
          THIMBLE_DEPTHWISE_FIRST("x", "u2") THIMBLE_DEPTHWISE_LAST("y", "v0")
          "ldrd %[x], %[y], [%[p], #16]\n\t"
          THIMBLE_DEPTHWISE_LAST("x", "v1") THIMBLE_DEPTHWISE_LAST("y", "v2")
          : [a] "+r"(a), [b] "+r"(b), [x] "=&r"(x), [y] "=&r"(y)
          : [p] "r"(cells), [u0] "r"(w[0]), [v0] "r"(w[1]), [u1] "r"(w[2]), [v1] "r"(w[3]), [u2] "r"(w[4]),
            [v2] "r"(w[5])
          : "memory");
  return (thimble_depthwise_sums){a, b};
}

#endif

THIMBLE_INLINE thimble_depthwise_sums thimble_depthwise_two(
    const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p, const thimble_word *cells, const thimble_word *w,
    int32_t bias) {
#if defined(THIMBLE_DOT_ASSEMBLY)
  if (p->kernel_h == 3 && p->stride_w == 1) {
    return thimble_depthwise_3x3(cells, w, bias);
  }
#endif
  thimble_depthwise_sums sum = {bias, bias};
  THIMBLE_UNROLL(3)
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const uint32_t x = cells[i], y = cells[i + p->kernel_h], w01 = w[2 * i], w12 = w[2 * i + 1];
    sum.a = thimble_low_high_mac(y, w12, thimble_dual_mac(x, w01, sum.a));
    if (p->stride_w == 1) {
      sum.b = thimble_dual_mac(y, w12, thimble_high_low_mac(x, w01, sum.b));
    } else {
      sum.b = thimble_low_high_mac(cells[i + 2 * p->kernel_h], w12, thimble_dual_mac(y, w01, sum.b));
    }
  }
  return sum;
}

/* A row of one channel's output. */
THIMBLE_INLINE void thimble_depthwise_row(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                          const thimble_word *band, const thimble_word *filter,
                                          const THIMBLE_FLASH int32_t *channel, int8_t *out) {
  for (int32_t x = 0; x < p->out.width / 2; x++) {
    const thimble_depthwise_sums sum = thimble_depthwise_two(p, band, filter, channel[0]);
    const int8_t a = thimble_requantize(&p->output, sum.a, channel + 1);
    out[p->out.pixel] = thimble_requantize(&p->output, sum.b, channel + 1);
    out[0] = a;
    band += p->stride_w * p->kernel_h;
    out += 2 * p->out.pixel;
  }
  if (p->out.width % 2) {
    *out = thimble_requantize(&p->output, thimble_depthwise_two(p, band, filter, channel[0]).a, channel + 1);
  }
}

/* Rows [begin, end) of the output. `channels` holds bias, multiplier, offset and shift per channel. Work space: four bands and four
 * filters twice. */
THIMBLE_KERNEL void thimble_depthwise_conv_2d_s8_dsp(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                                     const int8_t *in, const THIMBLE_FLASH int8_t *weights,
                                                     const THIMBLE_FLASH int32_t *channels, int8_t *out,
                                                     void *scratch, int32_t begin, int32_t end) {
  const int32_t step = p->pairs * p->kernel_h;
  thimble_word *bands = (thimble_word *)scratch;
  thimble_word *filters = bands + 4 * step;
  for (int32_t next = 0; next < p->out.channels; next += 4) {
    const int32_t first = thimble_min(next, p->out.channels - 4);
    for (int32_t c = 0; c < 4; c++) {
      thimble_depthwise_filter(p, weights + first + c, filters + 4 * p->kernel_h * c);
    }
    int32_t ready = begin * p->stride_h - p->pad_top; /* rows before it are in the bands, or not needed */
    int32_t slot = 0;                                 /* where the next one goes */
    for (int32_t y = begin; y < end; y++) {
      const int32_t top = y * p->stride_h - p->pad_top;
      for (; ready < top + p->kernel_h; ready++) {
        if (ready >= top) {
          thimble_depthwise_band(p, in + first, ready, bands + slot);
        }
        slot = slot + 1 == p->kernel_h ? 0 : slot + 1;
      }
      int8_t *line = out + thimble_row(&p->out, y) + first;
      const int32_t turn = slot == 0 ? 0 : p->kernel_h - slot; /* the ring begins with the oldest row, at `slot` */
      for (int32_t c = 0; c < 4; c++) {
        thimble_depthwise_row(p, bands + c * step, filters + 4 * p->kernel_h * c + 2 * turn,
                              channels + 4 * (first + c), line + c);
      }
    }
  }
}

#endif
