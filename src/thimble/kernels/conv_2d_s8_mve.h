/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D and FULLY_CONNECTED on int8 with Helium: three windows times two filters at once, or where there is only one
 * window, it times four filters; 16 products per instruction.
 *
 * Filters [O, taps] as in the model. A window is copied together, unless it is one pixel; outside the image stands the
 * zero point, whose part is in the biases. Sums of 16 filters are kept and requantized together. Input and output must
 * not overlap. Reads row by row, writes three pixels at a time, four channels of each; where they are of two rows, the
 * windows of the first have been copied before anything is written. The assembly leaves r7 alone, which may be the
 * frame pointer. */
#ifndef THIMBLE_CONV_2D_S8_MVE_H
#define THIMBLE_CONV_2D_S8_MVE_H

#include "mve.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t depth; /* channels of the input */
  int32_t taps;  /* kernel_h * kernel_w * depth */
  int32_t in_zero;
  thimble_output_mve output;
} thimble_conv_2d_s8_mve_params;

#define THIMBLE_TRIPLE 3
#define THIMBLE_CHUNK 16 /* filters whose sums are kept; 64 bytes per pixel in assembly */

/* Three windows and the filters still to come; offsets are those in assembly. */
typedef struct {
  const int8_t *window[THIMBLE_TRIPLE];
  int32_t taps, surplus;             /* 12, 16: what a filter lacks to whole vectors */
  const THIMBLE_FLASH int8_t *next;  /* 20: the next filter, `surplus` ahead */
  const THIMBLE_FLASH int32_t *bias; /* 24 */
  int32_t *sums, *end;               /* 28, 32: [pixel, chunk], and where the last pair of the first pixel ends */
  int32_t step;                      /* 36: from a pair's first filter to its second */
  int8_t *out[THIMBLE_TRIPLE];
} thimble_triple;

#if defined(THIMBLE_MVE)

/* Pairs of filters up to `end`. Sums r0, r2, r4 of the first filter, r6, r8, r10 of the second; filters r9, r11. */
__attribute__((THIMBLE_OPAQUE, unused)) static void thimble_triple_dot(thimble_triple *triple) {
  __asm__ volatile(
      "ldr r11, [%[triple], #20]\n"
      "1:\n\tldrd r3, r5, [%[triple], #12]\n\tsub r9, r11, r5\n\tldr r5, [%[triple], #36]\n\tadd r11, r9, r5\n\t"
      "wlstp.8 lr, r3, 3f\n\t"
      "ldr r1, [%[triple], #24]\n\tldrd r0, r6, [r1], #8\n\tstr r1, [%[triple], #24]\n\t"
      "mov r2, r0\n\tmov r4, r0\n\tmov r8, r6\n\tmov r10, r6\n\tldmia.w %[triple], {r1, r3, r5}\n"
      "2:\n\t"
      "vldrb.8 q0, [r1], #16\n\tvldrb.8 q1, [r9], #16\n\tvmladava.s8 r0, q0, q1\n\t"
      "vldrb.8 q2, [r3], #16\n\tvmladava.s8 r2, q2, q1\n\t"
      "vldrb.8 q3, [r5], #16\n\tvmladava.s8 r4, q3, q1\n\t"
      "vldrb.8 q1, [r11], #16\n\tvmladava.s8 r6, q0, q1\n\t"
      "vmladava.s8 r8, q2, q1\n\tvmladava.s8 r10, q3, q1\n\t"
      "letp lr, 2b\n"
      "3:\n\tldrd r1, r3, [%[triple], #28]\n\t"
      "strd r0, r6, [r1]\n\tstrd r2, r8, [r1, #64]\n\tstrd r4, r10, [r1, #128]\n\t"
      "adds r1, #8\n\tstr r1, [%[triple], #28]\n\tcmp r1, r3\n\tbne 1b\n\tstr r11, [%[triple], #20]"
      :
      : [triple] "r"(triple)
      : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "lr", "q0", "q1", "q2", "q3", "cc",
        "memory");
}

#define THIMBLE_TRIPLE_ONE(tie, sums, out)                                                             \
  "vldrw.32 q0, " sums "\n\tvqrdmulh.s32 q0, q0, q4\n\t" tie "vrshl.s32 q0, q0, q5\n\t"               \
  "vadd.i32 q0, q0, r8\n\tvmax.s32 q0, q0, q2\n\tvmin.s32 q0, q0, q3\n\tvstrb.32 q0, [" out "], #4\n\t"
#define THIMBLE_TRIPLE_TIE "vshr.s32 q1, q0, #31\n\tvadd.i32 q0, q0, q1\n\t"
#define THIMBLE_TRIPLE_FINISH(tie)                                                                     \
  __asm__ volatile(                                                                                    \
      "vdup.32 q2, %[low]\n\tvdup.32 q3, %[high]\n\tmov r8, %[zero]\n\twlstp.32 lr, %[count], 2f\n"  \
      "1:\n\tvldrw.32 q4, [%[scale]], #16\n\tvldrw.32 q5, [%[scale]], #16\n\t"                        \
      THIMBLE_TRIPLE_ONE(tie, "[%[sums], #128]", "%[c]")                                               \
      THIMBLE_TRIPLE_ONE(tie, "[%[sums], #64]", "%[b]")                                                \
      THIMBLE_TRIPLE_ONE(tie, "[%[sums]], #16", "%[a]") "letp lr, 1b\n2:"                              \
      : [scale] "+r"(scale), [sums] "+r"(sums), [a] "+l"(a), [b] "+l"(b), [c] "+l"(c)                  \
      : [low] "r"(p->low), [high] "r"(p->high), [zero] "r"(p->zero), [count] "r"(count)                \
      : "r8", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "cc", "memory")

/* `count` sums of each pixel to outputs. */
THIMBLE_INLINE void thimble_triple_finish(const THIMBLE_FLASH thimble_output_mve *p, thimble_triple *triple,
                                          const int32_t *sums, const THIMBLE_FLASH int32_t *scale, int32_t count) {
  int8_t *a = triple->out[0], *b = triple->out[1], *c = triple->out[2];
  if (p->positive) {
    THIMBLE_TRIPLE_FINISH("");
  } else {
    THIMBLE_TRIPLE_FINISH(THIMBLE_TRIPLE_TIE);
  }
}

#else

THIMBLE_INLINE void thimble_triple_dot(thimble_triple *triple) {
  for (; triple->sums != triple->end; triple->sums += 2) {
    const THIMBLE_FLASH int8_t *first = triple->next - triple->surplus, *second = first + triple->step;
    for (int32_t i = 0; i < THIMBLE_TRIPLE; i++) {
      const uint32_t a = (uint32_t)thimble_dot_one(triple->window[i], first, triple->taps);
      const uint32_t b = (uint32_t)thimble_dot_one(triple->window[i], second, triple->taps);
      triple->sums[THIMBLE_CHUNK * i] = (int32_t)(a + (uint32_t)triple->bias[0]);
      triple->sums[THIMBLE_CHUNK * i + 1] = (int32_t)(b + (uint32_t)triple->bias[1]);
    }
    triple->bias += 2;
    triple->next += 2 * triple->taps;
  }
}

THIMBLE_INLINE void thimble_triple_finish(const THIMBLE_FLASH thimble_output_mve *p, thimble_triple *triple,
                                          const int32_t *sums, const THIMBLE_FLASH int32_t *scale, int32_t count) {
  for (int32_t i = THIMBLE_TRIPLE - 1; i >= 0; i--) {
    for (int32_t o = 0; o < count; o++) {
      const THIMBLE_FLASH int32_t *own = scale + o / 4 * THIMBLE_SCALE_WORDS_MVE + o % 4;
      triple->out[i][o] = thimble_finish_one(p, sums[THIMBLE_CHUNK * i + o], own);
    }
  }
}

#endif

/* All filters over three windows; those that are not there are the first once more. */
THIMBLE_INLINE void thimble_triple_run(const THIMBLE_FLASH thimble_conv_2d_s8_mve_params *p, thimble_triple *triple,
                                       const THIMBLE_FLASH int8_t *weights, const THIMBLE_FLASH int32_t *channels,
                                       int32_t *sums) {
  const THIMBLE_FLASH int32_t *scale = channels + (p->out.channels + 3) / 4 * 4;
  triple->next = weights + triple->surplus;
  triple->bias = channels;
  for (int32_t o = 0; o < p->out.channels; o += THIMBLE_CHUNK) {
    const int32_t count = thimble_min(p->out.channels - o, THIMBLE_CHUNK);
    triple->step = p->taps;
    triple->sums = sums;
    triple->end = sums + count / 2 * 2;
    if (count >= 2) {
      thimble_triple_dot(triple);
    }
    if (count % 2) { /* a pair of twice the same */
      triple->step = 0;
      triple->end += 2;
      thimble_triple_dot(triple);
    }
    thimble_triple_finish(&p->output, triple, sums, scale, count);
    scale += THIMBLE_CHUNK / 4 * THIMBLE_SCALE_WORDS_MVE;
    for (int32_t i = 0; i < THIMBLE_TRIPLE; i++) {
      triple->out[i] += count;
    }
  }
}

/* The window whose first tap is at row y and column x. */
THIMBLE_INLINE void thimble_conv_2d_s8_mve_window(const THIMBLE_FLASH thimble_conv_2d_s8_mve_params *p,
                                                  const int8_t *in, int32_t y, int32_t x, int8_t *window) {
  const int32_t run = p->kernel_w * p->depth;
  const int32_t dense = p->dilation_w == 1 && p->in.pixel == p->depth;
  for (int32_t i = 0; i < p->kernel_h; i++) {
    const int32_t row = y + i * p->dilation_h;
    const int32_t inside = row >= 0 && row < p->in.height;
    const int8_t *line = inside ? in + thimble_row(&p->in, row) + x * p->in.pixel : in;
    if (!inside) {
      thimble_fill_mve(window, p->in_zero, run);
    } else if (dense) { /* the part of the row that is inside, and what is left and right of it */
      const int32_t left = thimble_max(-x, 0), right = thimble_max(x + p->kernel_w - p->in.width, 0);
      if (left + right > 0) {
        thimble_fill_mve(window, p->in_zero, run);
      }
      thimble_copy_bytes(window + left * p->depth, line + left * p->depth, run - (left + right) * p->depth);
    } else {
      for (int32_t j = 0; j < p->kernel_w; j++) {
        const int32_t column = x + j * p->dilation_w;
        if (column >= 0 && column < p->in.width) {
          thimble_copy_bytes(window + j * p->depth, line + j * p->dilation_w * p->in.pixel, p->depth);
        } else {
          thimble_fill_mve(window + j * p->depth, p->in_zero, p->depth);
        }
      }
    }
    window += run;
  }
}

/* One window times all filters, four at a time. */
THIMBLE_INLINE void thimble_conv_2d_s8_mve_one(const THIMBLE_FLASH thimble_conv_2d_s8_mve_params *p,
                                               const int8_t *window, const THIMBLE_FLASH int8_t *weights,
                                               const THIMBLE_FLASH int32_t *channels, int8_t *out) {
  const THIMBLE_FLASH int32_t *scale = channels + (p->out.channels + 3) / 4 * 4;
  for (int32_t o = 0; o < p->out.channels; o += 4) {
    const int32_t count = p->out.channels - o; /* fewer than four at the end: the last one several times */
    const thimble_four sum = thimble_dot_four(window, weights, p->taps, p->taps, count, channels + o);
    thimble_finish_four(&p->output, sum, scale, out + o, count);
    weights += 4 * p->taps;
    scale += THIMBLE_SCALE_WORDS_MVE;
  }
}

/* Rows [begin, end) of the output. `channels` holds biases, up to a multiple of four, then multipliers and shifts of
 * four filters at a time. Work space: sums of three chunks and as many windows as are copied at a time, unless there
 * is one window in all: then this one. */
THIMBLE_KERNEL void thimble_conv_2d_s8_mve(const THIMBLE_FLASH thimble_conv_2d_s8_mve_params *p, const int8_t *in,
                                           const THIMBLE_FLASH int8_t *weights,
                                           const THIMBLE_FLASH int32_t *channels, int8_t *out, void *scratch,
                                           int32_t begin, int32_t end) {
  const int32_t direct = p->taps == p->depth && p->pad_top == 0 && p->pad_left == 0;
  const int32_t single = p->out.width * p->out.height == 1;
  int32_t *sums = (int32_t *)scratch;
  int8_t *windows = (int8_t *)(single ? sums : sums + THIMBLE_TRIPLE * THIMBLE_CHUNK);
  thimble_triple triple;
  int32_t count = 0;
  triple.taps = p->taps;
  triple.surplus = -p->taps & 15;
  for (int32_t y = begin; y < end; y++) {
    int8_t *pixel = out + thimble_row(&p->out, y);
    for (int32_t x = 0; x < p->out.width; x++) {
      const int32_t top = y * p->stride_h - p->pad_top, left = x * p->stride_w - p->pad_left;
      const int8_t *window = windows + count * p->taps;
      if (direct) {
        window = in + thimble_row(&p->in, top) + left * p->in.pixel;
      } else {
        thimble_conv_2d_s8_mve_window(p, in, top, left, windows + count * p->taps);
      }
      if (single) {
        thimble_conv_2d_s8_mve_one(p, window, weights, channels, pixel);
        continue;
      }
      triple.window[count] = window;
      triple.out[count++] = pixel;
      pixel += p->out.pixel;
      if (count == THIMBLE_TRIPLE || (x + 1 == p->out.width && y + 1 == end)) {
        for (; count < THIMBLE_TRIPLE; count++) {
          triple.window[count] = triple.window[0];
          triple.out[count] = triple.out[0];
        }
        thimble_triple_run(p, &triple, weights, channels, sums);
        count = 0;
      }
    }
    for (int32_t i = 0; direct && i < count; i++) { /* what the next row's outputs may be written over */
      thimble_copy_bytes(windows + i * p->taps, triple.window[i], p->taps);
      triple.window[i] = windows + i * p->taps;
    }
  }
}

#endif
