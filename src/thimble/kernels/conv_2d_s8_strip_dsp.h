/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D on int8 with packed arithmetic and less work space than conv_2d_s8_dsp.h: two pixels times two filters at
 * once, or one pixel times four.
 *
 * The columns under the windows are spread out as int16 values (see dot_dsp.h), one behind the other, each row by row
 * and filled up to whole groups of four. Windows that overlap share columns, and a window is a slice in one piece:
 *
 *     columns        0 1 2 3
 *     first pixel    - - -
 *     second pixel     - - -      then columns 2 and 3 move to the front
 *
 * Zero points are in the bias; outside the image stands the zero point. Reads and writes row by row; a pixel is written
 * after its window was read, and the second one first: a pointwise convolution with as many channels before as after
 * may be in place. Otherwise input and output must not overlap. */
#ifndef THIMBLE_CONV_2D_S8_STRIP_DSP_H
#define THIMBLE_CONV_2D_S8_STRIP_DSP_H

#include "dot_dsp.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t depth;  /* channels */
  int32_t column; /* groups of four taps in a column, the last one filled up */
  int32_t shared; /* columns that two neighbouring windows have in common */
  int32_t pixels; /* at once: 2 or 1 */
  int32_t in_zero;
  thimble_output output;
} thimble_conv_2d_s8_strip_dsp_params;

/* A column of cells that are no whole words: gathered behind the strip, then spread out. */
THIMBLE_INLINE void thimble_strip_bytes(const THIMBLE_FLASH thimble_conv_2d_s8_strip_dsp_params *p, const int8_t *in,
                                        int32_t y, int32_t x, thimble_word *column, int8_t *bytes) {
  int8_t *next = bytes;
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const int32_t row = y + i * p->dilation_h;
    const int32_t there = x >= 0 && x < p->in.width && row >= 0 && row < p->in.height;
    const int8_t *cell = there ? in + thimble_row(&p->in, row) + x * p->in.pixel : NULL;
    for (int32_t c = 0; c < p->depth; c++) {
      *next++ = there ? cell[c] : (int8_t)p->in_zero;
    }
  }
  thimble_spread(bytes, column, p->column, 1, p->output.packed);
}

/* `count` columns from x on, whose first row is y, to the strip. */
THIMBLE_INLINE void thimble_strip_fill(const THIMBLE_FLASH thimble_conv_2d_s8_strip_dsp_params *p, const int8_t *in,
                                       int32_t y, int32_t x, int32_t count, thimble_word *strip, int8_t *bytes) {
  const uint32_t zeros = (uint32_t)(p->in_zero & 0xFF) * 0x01010101u;
  const int32_t words = p->depth / 4;
  if (p->depth % 4 != 0) {
    for (int32_t j = 0; j < count; j++) {
      thimble_strip_bytes(p, in, y, x + j, strip + 2 * p->column * j, bytes);
    }
    return;
  }
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const int32_t row = y + i * p->dilation_h, there = row >= 0 && row < p->in.height;
    const int8_t *line = there ? in + thimble_row(&p->in, row) : NULL;
    thimble_word *part = strip + 2 * words * i;
    for (int32_t j = x; j < x + count; j++) {
      if (there && j >= 0 && j < p->in.width) {
        thimble_spread(line + j * p->in.pixel, part, words, 1, p->output.packed);
      } else {
        thimble_spread_same(zeros, part, words, 1, p->output.packed);
      }
      part += 2 * p->column;
    }
  }
}

/* Groups of a strip to the front. */
THIMBLE_INLINE void thimble_strip_move(thimble_word *strip, int32_t by, int32_t groups) {
  const thimble_word *from = strip + 2 * by;
  THIMBLE_UNROLL(4)
  for (int32_t i = 0; i < groups; i++) {
    const thimble_word first = from[0], second = from[1];
    strip[0] = first;
    strip[1] = second;
    from += 2;
    strip += 2;
  }
}

/* All filters over `count` pixels; the second one is overwritten by the first if it is not there. */
THIMBLE_INLINE void thimble_strip_pixels(const THIMBLE_FLASH thimble_conv_2d_s8_strip_dsp_params *p, thimble_twin *twin,
                                         const THIMBLE_FLASH int32_t *filters, int8_t *out, int32_t count) {
  const int32_t block = p->pixels == 2 ? 2 : THIMBLE_UNIT_FILTERS, whole = p->out.channels / block * block;
  thimble_tile *tile = &twin->tile;
  tile->out[0] = out;
  tile->out[1] = out + (count == 2 ? p->out.pixel : 0);
  tile->filters = (const thimble_word *)filters;
  tile->end = out + whole;
  if (whole > 0 && p->pixels == 2) {
    thimble_pair_run(&p->output, twin);
  } else if (whole > 0) {
    thimble_unit_run(&p->output, tile);
  }
  for (int32_t f = whole; f < p->out.channels; f++) {
    const thimble_word *filter = tile->filters;
    for (int32_t i = count - 1; i >= 0; i--) {
      const thimble_word *window = i == 0 ? tile->patch : twin->second;
      tile->filters = thimble_single(&p->output, filter, window, tile->groups, 1, out + i * p->out.pixel + f);
    }
  }
}

/* Rows [begin, end) of the output. For each block of filters, as many as are done at once, `filters` holds biases, the
 * words, and scales; for those left over the same of one. Taps are in the order of columns, rows, channels. Work space:
 * two words per group of the strip, and one column's bytes unless cells are whole words. */
THIMBLE_KERNEL void thimble_conv_2d_s8_strip_dsp(const THIMBLE_FLASH thimble_conv_2d_s8_strip_dsp_params *p,
                                                 const int8_t *in, const THIMBLE_FLASH int32_t *filters, int8_t *out,
                                                 void *scratch, int32_t begin, int32_t end) {
  const uint32_t low = (uint32_t)(p->output.low & 0xFFFF), high = (uint32_t)(p->output.high & 0xFFFF);
  const int32_t fresh = p->kernel_w - p->shared, apart = 2 * p->column * fresh, kept = 2 * p->column * p->shared;
  thimble_word *strip = (thimble_word *)scratch;
  int8_t *bytes = (int8_t *)(strip + kept + p->pixels * apart);
  thimble_twin twin = {{{NULL, NULL, NULL}, strip, 0, NULL, NULL, low | low << 16, high | high << 16,
                        p->column * p->kernel_w, NULL}, strip + apart};
  for (int32_t y = begin; y < end; y++) {
    const int32_t top = y * p->stride_h - p->pad_top;
    int32_t left = -p->pad_left;
    int8_t *pixel = out + thimble_row(&p->out, y);
    thimble_strip_fill(p, in, top, left, p->shared, strip, bytes);
    for (int32_t x = 0; x < p->out.width; x += p->pixels) {
      const int32_t count = thimble_min(p->pixels, p->out.width - x);
      for (int32_t i = 0; i < count; i++) {
        thimble_strip_fill(p, in, top, left + p->shared, fresh, strip + kept + i * apart, bytes);
        left += p->stride_w;
      }
      thimble_strip_pixels(p, &twin, filters, pixel, count);
      thimble_strip_move(strip, p->pixels * p->column * fresh, p->column * p->shared);
      pixel += p->pixels * p->out.pixel;
    }
  }
}

#endif
