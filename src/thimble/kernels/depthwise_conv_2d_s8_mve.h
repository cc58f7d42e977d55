/* SPDX-License-Identifier: Apache-2.0 */
/* DEPTHWISE_CONV_2D on int8 with Helium, for one output channel per input channel: 16 channels at once.
 *
 * Products of int8 are int16; those of two taps are added before they are widened to int32, which cannot overflow as
 * weights are at most 127 in magnitude (the lowering checks). Widening takes every other lane, so that four sums hold
 * channels 0 4 8 12, 2 6 10 14, 1 5 9 13 and 3 7 11 15; biases, multipliers and shifts are stored in that order, and
 * narrowing puts the channels in order again. Taps outside the image read a pixel of zero points. Where fewer channels
 * divide 16, neighbouring pixels at stride 1 are done together. Input and output must not overlap. Reads tap by tap,
 * writes in order. Compilers spill here, hence assembly; it leaves r7 alone, which may be the frame pointer. */
#ifndef THIMBLE_DEPTHWISE_CONV_2D_S8_MVE_H
#define THIMBLE_DEPTHWISE_CONV_2D_S8_MVE_H

#include "mve.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t run;  /* neighbouring pixels that are done together: 16 lanes where it is not 1 */
  int32_t rest; /* from one tap's weights to the next one's in the last block of channels, which may be narrow */
  int32_t in_zero;
  thimble_output_mve output;
} thimble_depthwise_conv_2d_s8_mve_params;

#define THIMBLE_VECTOR_LANES 16

/* One pixel, or some; offsets are those in assembly. */
typedef struct {
  const int8_t **cells;                 /* 0: a pointer per tap, moved on by 16 for each block */
  const THIMBLE_FLASH int8_t *weights;  /* 4: per block and tap */
  const THIMBLE_FLASH int32_t *channel; /* 8: per block 16 biases, 16 multipliers, 16 shifts */
  int8_t *out;                          /* 12 */
  int32_t taps;                         /* 16 */
  int32_t count;                        /* 20: of lanes */
  int32_t rest;                         /* 24 */
  int32_t zero, low, high;              /* 28, 32, 36 */
} thimble_window_mve;

#if defined(THIMBLE_MVE)

/* Sums q0 to q3; pointers: cells r0, weights r1 (r6 apart), channel r2, window r3, cells' r4 and r5. `when` is before
 * accesses that some lanes only may do. */
#define THIMBLE_SIXTEEN_WIDEN                                                            \
  "vmovlb.s16 q4, q6\n\tvadd.i32 q0, q0, q4\n\tvmovlt.s16 q6, q6\n\tvadd.i32 q1, q1, q6\n\t" \
  "vmovlb.s16 q4, q7\n\tvadd.i32 q2, q2, q4\n\tvmovlt.s16 q7, q7\n\tvadd.i32 q3, q3, q7\n\t"
#define THIMBLE_SIXTEEN_LOAD(when, t, to, from) when "vldrb" t ".8 " to ", " from "\n\t"
#define THIMBLE_SIXTEEN_FIRST(when, t)                                                                     \
  THIMBLE_SIXTEEN_LOAD(when, t, "q4", "[r4], #16") THIMBLE_SIXTEEN_LOAD(when, t, "q5", "[r1]")             \
  "add r1, r1, r6\n\tvmullb.s8 q6, q4, q5\n\tvmullt.s8 q7, q4, q5\n\t"
#define THIMBLE_SIXTEEN_SECOND(when, t)                                                                    \
  THIMBLE_SIXTEEN_LOAD(when, t, "q4", "[r5]") THIMBLE_SIXTEEN_LOAD(when, t, "q5", "[r1]")                  \
  "add r1, r1, r6\n\tvmullb.s8 q4, q4, q5\n\tvadd.i16 q6, q6, q4\n\t"                                    \
  THIMBLE_SIXTEEN_LOAD(when, t, "q4", "[r5], #16") "vmullt.s8 q4, q4, q5\n\tvadd.i16 q7, q7, q4\n\t"
#define THIMBLE_SIXTEEN_BLOCK(when, t, SCALE, CLAMP)                                                       \
  "ldr r0, [r3]\n\tldr r8, [r3, #16]\n\t"                                                                 \
  "vldrw.32 q0, [r2]\n\tvldrw.32 q1, [r2, #16]\n\tvldrw.32 q2, [r2, #32]\n\tvldrw.32 q3, [r2, #48]\n\t" \
  "lsrs r9, r8, #1\n\tbeq.w 2f\n\tdls lr, r9\n"                                                          \
  "1:\n\tldrd r4, r5, [r0]\n\t" THIMBLE_SIXTEEN_FIRST(when, t) THIMBLE_SIXTEEN_SECOND(when, t)            \
  "strd r4, r5, [r0], #8\n\t" THIMBLE_SIXTEEN_WIDEN "le lr, 1b\n"                                         \
  "2:\n\tlsls r8, r8, #31\n\tbeq.w 3f\n\tldr r4, [r0]\n\t" THIMBLE_SIXTEEN_FIRST(when, t)              \
  "str r4, [r0]\n\t" THIMBLE_SIXTEEN_WIDEN                                                               \
  "3:\n\t" SCALE("q0", "64", "128") SCALE("q1", "80", "144") SCALE("q2", "96", "160")                      \
  SCALE("q3", "112", "176")                                                                                \
  "ldr r4, [r3, #28]\n\tvqmovnb.s32 q0, q0\n\tvqmovnt.s32 q0, q1\n\tvqmovnb.s32 q2, q2\n\t"              \
  "vqmovnt.s32 q2, q3\n\tvqadd.s16 q0, q0, r4\n\tvqadd.s16 q2, q2, r4\n\tvqmovnb.s16 q0, q0\n\t"         \
  "vqmovnt.s16 q0, q2\n\t" CLAMP when "vstrb" t ".8 q0, [r10], #16\n\tadds r2, #192\n\t"

#define THIMBLE_SIXTEEN_POSITIVE(q, multiplier, shift)                                                     \
  "vldrw.32 q4, [r2, #" multiplier "]\n\tvqrdmulh.s32 " q ", " q ", q4\n\t"                               \
  "vldrw.32 q5, [r2, #" shift "]\n\tvrshl.s32 " q ", " q ", q5\n\t"
#define THIMBLE_SIXTEEN_SIGNED(q, multiplier, shift)                                                       \
  "vldrw.32 q4, [r2, #" multiplier "]\n\tvqrdmulh.s32 " q ", " q ", q4\n\tvshr.s32 q4, " q ", #31\n\t"   \
  "vldrw.32 q5, [r2, #" shift "]\n\tvadd.i32 " q ", " q ", q4\n\tvrshl.s32 " q ", " q ", q5\n\t"
#define THIMBLE_SIXTEEN_CLAMP \
  "ldrd r4, r5, [r3, #32]\n\tvdup.8 q1, r4\n\tvmax.s8 q0, q0, q1\n\tvdup.8 q1, r5\n\tvmin.s8 q0, q0, q1\n\t"

#define THIMBLE_SIXTEEN(NAME, SCALE, CLAMP)                                                                \
  __attribute__((THIMBLE_OPAQUE, unused)) static void NAME(thimble_window_mve *window) {                   \
    __asm__ volatile(                                                                                      \
        "mov r3, %[window]\n\tldrd r1, r2, [r3, #4]\n\tldr r10, [r3, #12]\n\tldr r11, [r3, #20]\n\t"       \
        "mov r6, #16\n\tsubs r11, #16\n\tblt.w 5f\n"                                                     \
        "4:\n\t" THIMBLE_SIXTEEN_BLOCK("", "", SCALE, CLAMP) "subs r11, #16\n\tbge.w 4b\n"               \
        "5:\n\tadds r11, #16\n\tbeq.w 6f\n\tldr r6, [r3, #24]\n\tvctp.8 r11\n\t"                      \
        THIMBLE_SIXTEEN_BLOCK("vpst\n\t", "t", SCALE, CLAMP)                                              \
        "6:"                                                                                               \
        :                                                                                                  \
        : [window] "r"(window)                                                                             \
        : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "lr", "q0", "q1", "q2", "q3", \
          "q4", "q5", "q6", "q7", "cc", "memory");                                                         \
  }

THIMBLE_SIXTEEN(thimble_sixteen_positive, THIMBLE_SIXTEEN_POSITIVE, "")
THIMBLE_SIXTEEN(thimble_sixteen_clamped, THIMBLE_SIXTEEN_SIGNED, THIMBLE_SIXTEEN_CLAMP)

THIMBLE_INLINE void thimble_sixteen_run(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_mve_params *p,
                                        thimble_window_mve *window) {
  if (p->output.positive && p->output.low == -128 && p->output.high == 127) {
    thimble_sixteen_positive(window);
  } else {
    thimble_sixteen_clamped(window);
  }
}

#else

/* Up to 16 lanes from `from` on. */
THIMBLE_INLINE void thimble_sixteen(const thimble_window_mve *window, int32_t from, int32_t count, int32_t step) {
  static const uint8_t place[THIMBLE_VECTOR_LANES] = {0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15};
  const THIMBLE_FLASH int8_t *weights = window->weights + from * window->taps;
  for (int32_t i = 0; i < count; i++) {
    const THIMBLE_FLASH int32_t *own = window->channel + 3 * from + place[i];
    int32_t sum = 0;
    for (int32_t t = 0; t < window->taps; t++) {
      sum += window->cells[t][from + i] * weights[t * step + i];
    }
    const int32_t total = (int32_t)((uint32_t)sum + (uint32_t)own[0]);
    const int32_t scaled = thimble_rescale(total, own[THIMBLE_VECTOR_LANES], own[2 * THIMBLE_VECTOR_LANES]);
    const int32_t result = thimble_clamp(scaled + window->zero, window->low, window->high);
    window->out[from + i] = (int8_t)result;
  }
}

THIMBLE_INLINE void thimble_sixteen_run(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_mve_params *p,
                                        thimble_window_mve *window) {
  (void)p;
  for (int32_t from = 0; from < window->count; from += THIMBLE_VECTOR_LANES) {
    const int32_t count = window->count - from, whole = count >= THIMBLE_VECTOR_LANES;
    thimble_sixteen(window, from, whole ? THIMBLE_VECTOR_LANES : count, whole ? THIMBLE_VECTOR_LANES : window->rest);
  }
}

#endif

/* Where each tap of a window is: its first one at row y and column x, the last columns of taps being in the image. */
THIMBLE_INLINE void thimble_depthwise_cells(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_mve_params *p,
                                            const int8_t *in, int32_t y, int32_t x, int32_t inside,
                                            const int8_t *outside, const int8_t **cells) {
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const int32_t row = y + i * p->dilation_h;
    const int32_t there = row >= 0 && row < p->in.height;
    const int8_t *cell = (there ? in + thimble_row(&p->in, row) : in) + x * p->in.pixel;
    if (there && inside) {
      for (int32_t j = 0; j < p->kernel_w; j++) {
        *cells++ = cell;
        cell += p->dilation_w * p->in.pixel;
      }
      continue;
    }
    for (int32_t j = 0; j < p->kernel_w; j++) {
      const int32_t column = x + j * p->dilation_w;
      *cells++ = there && column >= 0 && column < p->in.width ? cell : outside;
      cell += p->dilation_w * p->in.pixel;
    }
  }
}

/* Rows [begin, end) of the output. Per 16 channels, `weights` holds 16 per tap (the last, narrow block `rest`), and
 * `channels` biases, multipliers and shifts in the order above. Work space: a pointer per tap, then zero points, as
 * many as there are channels or lanes. */
THIMBLE_KERNEL void thimble_depthwise_conv_2d_s8_mve(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_mve_params *p,
                                                     const int8_t *in, const THIMBLE_FLASH int8_t *weights,
                                                     const THIMBLE_FLASH int32_t *channels, int8_t *out,
                                                     void *scratch, int32_t begin, int32_t end) {
  const int32_t taps = p->kernel_h * p->kernel_w, reach = (p->kernel_w - 1) * p->dilation_w;
  const int8_t **cells = (const int8_t **)scratch;
  int8_t *outside = (int8_t *)(cells + taps);
  thimble_fill_mve(outside, p->in_zero, p->run * p->in.channels);
  for (int32_t y = begin; y < end; y++) {
    int8_t *pixel = out + thimble_row(&p->out, y);
    const int32_t top = y * p->stride_h - p->pad_top;
    for (int32_t x = 0; x < p->out.width;) {
      const int32_t left = x * p->stride_w - p->pad_left;
      const int32_t together = left >= 0 && left + reach + p->run <= p->in.width ? p->run : 1;
      const int32_t inside = left >= 0 && left + reach < p->in.width;
      thimble_depthwise_cells(p, in, top, left, inside, outside, cells);
      thimble_window_mve window = {cells,
                                   weights,
                                   channels,
                                   pixel,
                                   taps,
                                   together * p->out.channels,
                                   p->rest,
                                   p->output.zero,
                                   p->output.low,
                                   p->output.high};
      thimble_sixteen_run(p, &window);
      pixel += together * p->out.pixel;
      x += together;
    }
  }
}

#endif
