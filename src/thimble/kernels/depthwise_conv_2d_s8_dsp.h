/* SPDX-License-Identifier: Apache-2.0 */
/* DEPTHWISE_CONV_2D on int8 with packed arithmetic, for one output channel per input channel.
 *
 * Four channels at a time, two or one for less work space: the input rows under the filter are turned into a band per
 * channel, in which a word holds two neighbouring columns as int16, and the words of all rows for one pair of columns
 * follow each other. Outside the image stands the zero point. Rows of the band are a ring; the filter's rows are kept
 * twice in a row, so that the ring may begin anywhere. If the channels are no multiple of those at a time, the last
 * ones are computed although some of them were before. Otherwise, with stride 1 and an output as large as the input, it
 * may be in place: a row is in the bands of its channels before it is written. In all other cases input and output must
 * not overlap.
 *
 * Filters of 3 x 3 are done in assembly where there is some, two columns at a time: 15 instructions for 18 products at
 * stride 1, 17 at stride 2. Any other size takes a filter for even first columns and one for odd ones. */
#ifndef THIMBLE_DEPTHWISE_CONV_2D_S8_DSP_H
#define THIMBLE_DEPTHWISE_CONV_2D_S8_DSP_H

#include "dot_dsp.h"

typedef struct {
  thimble_image in, out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  int32_t pairs;   /* of columns in a band, the borders included */
  int32_t words;   /* of a filter's row: pairs of columns that it may touch */
  int32_t filters; /* 2 where first columns may be odd, else 1 */
  int32_t lanes;   /* channels at a time: 4, 2 or 1 */
  int32_t in_zero;
  thimble_output output;
} thimble_depthwise_conv_2d_s8_dsp_params;

/* The channels of a cell in a word. */
THIMBLE_INLINE uint32_t thimble_depthwise_cell(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                               const int8_t *cell) {
  if (p->lanes == 4) {
    return thimble_load(cell);
  }
  return p->lanes == 2 ? (uint32_t)(uint8_t)cell[0] | (uint32_t)(uint8_t)cell[1] << 8 : (uint32_t)(uint8_t)cell[0];
}

/* Two columns of the channels to a word for each channel; `step` is from one channel to the next. */
THIMBLE_INLINE void thimble_turn(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p, uint32_t x, uint32_t y,
                                 thimble_word *band, int32_t step) {
  const uint32_t a = thimble_even(x), c = thimble_even(y);
  band[0] = thimble_pack_low(a, c);
  if (p->lanes > 1) {
    const uint32_t b = thimble_odd(x), d = thimble_odd(y);
    band[step] = thimble_pack_low(b, d);
    if (p->lanes == 4) {
      band[2 * step] = thimble_pack_high(a, c);
      band[3 * step] = thimble_pack_high(b, d);
    }
  }
}

/* A row of the input into the bands; rows outside the image are zero points. */
THIMBLE_INLINE void thimble_depthwise_band(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                           const int8_t *in, int32_t y, thimble_word *band) {
  const uint32_t zero = (uint32_t)(p->in_zero & 0xFF) * 0x01010101u;
  const int32_t step = p->pairs * p->kernel_h, width = y >= 0 && y < p->in.height ? p->in.width : 0;
  const int8_t *line = in + (width ? thimble_row(&p->in, y) : 0);
  int32_t x = -p->pad_left;
  for (const int32_t end = 2 * p->pairs - p->pad_left; x < end;) {
    if (x >= 0 && x + 1 < width) {
      const int8_t *cell = line + x * p->in.pixel;
      for (const int32_t last = thimble_min(end, width - 1); x < last; x += 2) {
        thimble_turn(p, thimble_depthwise_cell(p, cell), thimble_depthwise_cell(p, cell + p->in.pixel), band, step);
        cell += 2 * p->in.pixel;
        band += p->kernel_h;
      }
    } else { /* at most one of both columns is in the image */
      const uint32_t a = x >= 0 && x < width ? thimble_depthwise_cell(p, line + x * p->in.pixel) : zero;
      const uint32_t b = x + 1 >= 0 && x + 1 < width ? thimble_depthwise_cell(p, line + (x + 1) * p->in.pixel) : zero;
      thimble_turn(p, a, b, band, step);
      band += p->kernel_h;
      x += 2;
    }
  }
}

#if defined(THIMBLE_DOT_ASSEMBLY)

/* Channels of a row of the output, by filters of 3 x 3 in words (0 and 1, 1 and 2). */
typedef struct {
  int32_t scale[4];             /* of the channel at hand; next offset in assembly: 16 */
  int32_t pitch;                /* from one output to the next */
  const int8_t *end;            /* 20: of outputs in twos */
  const thimble_word *band;     /* 24 */
  const thimble_word *filter;   /* 28 */
  const int32_t *channels;      /* 32 */
  int8_t *out;                  /* 36 */
  int32_t step, span;           /* 40: bytes from band to band, and from the first output to the end of those in twos */
  int32_t odd;                  /* 48: one more output */
  const int32_t *stop;          /* 52: end of channels */
  uint32_t low, high;           /* 56 */
} thimble_lanes;

/* Sums r2, r3; words of the band r11, r12; filter rows r4 r5, r6 r8, r9 r10; band r1, output r0. */
#define THIMBLE_LANE_MAC(sum, op, x, w) op " " sum ", " x ", " w ", " sum "\n\t"
#define THIMBLE_LANE_IN(x, w) THIMBLE_LANE_MAC("r2", "smlad", x, w)
#define THIMBLE_LANE_LOW(x, w) THIMBLE_LANE_MAC("r2", "smlabt", x, w)
#define THIMBLE_LANE_B_IN(x, w) THIMBLE_LANE_MAC("r3", "smlad", x, w)
#define THIMBLE_LANE_B_HIGH(x, w) THIMBLE_LANE_MAC("r3", "smlatb", x, w)
#define THIMBLE_LANE_B_LOW(x, w) THIMBLE_LANE_MAC("r3", "smlabt", x, w)
#define THIMBLE_LANE_BIAS(b) "ldr r2, [%[lanes]]\n\t" b("mov r3, r2\n\t")

/* Stride 1; `b` keeps or drops what is for the second output. */
#define THIMBLE_LANE_1(b)                                                                              \
  THIMBLE_LANE_BIAS(b) "ldrd r11, r12, [r1, #-8]\n\t" THIMBLE_LANE_IN("r11", "r4")                     \
  b(THIMBLE_LANE_B_HIGH("r11", "r4")) THIMBLE_LANE_IN("r12", "r6") b(THIMBLE_LANE_B_HIGH("r12", "r6")) \
  "ldrd r11, r12, [r1, #8]\n\t" THIMBLE_LANE_LOW("r11", "r8") b(THIMBLE_LANE_B_IN("r11", "r8"))        \
  THIMBLE_LANE_LOW("r12", "r10") b(THIMBLE_LANE_B_IN("r12", "r10"))                                    \
  "ldrd r11, r12, [r1], #12\n\t" THIMBLE_LANE_IN("r11", "r9") b(THIMBLE_LANE_B_HIGH("r11", "r9"))      \
  THIMBLE_LANE_LOW("r12", "r5") b(THIMBLE_LANE_B_IN("r12", "r5"))

/* Stride 2. */
#define THIMBLE_LANE_2(b)                                                                                  \
  THIMBLE_LANE_BIAS(b) "ldrd r11, r12, [r1, #-32]\n\t" THIMBLE_LANE_IN("r11", "r4") THIMBLE_LANE_IN("r12", "r6") \
  "ldrd r11, r12, [r1, #-24]\n\t" THIMBLE_LANE_IN("r11", "r9") THIMBLE_LANE_LOW("r12", "r5")               \
  b(THIMBLE_LANE_B_IN("r12", "r4"))                                                                        \
  "ldrd r11, r12, [r1, #-16]\n\t" THIMBLE_LANE_LOW("r11", "r8") b(THIMBLE_LANE_B_IN("r11", "r6"))          \
  THIMBLE_LANE_LOW("r12", "r10") b(THIMBLE_LANE_B_IN("r12", "r9"))                                         \
  b("ldrd r11, r12, [r1, #-8]\n\t" THIMBLE_LANE_B_LOW("r11", "r5") THIMBLE_LANE_B_LOW("r12", "r8")         \
    "ldr r11, [r1], #24\n\t" THIMBLE_LANE_B_LOW("r11", "r10"))

#define THIMBLE_LANE_KEEP(code) code
#define THIMBLE_LANE_DROP(code)
#define THIMBLE_LANE_SCALE(sum) "smmlar " sum ", " sum ", r11, r12\n\t"
#define THIMBLE_LANE_TIE(sum) "add r12, r12, " sum ", asr #31\n\t" THIMBLE_LANE_SCALE(sum)
#define THIMBLE_LANE_SHIFT(sum) "asr.w " sum ", " sum ", r11\n\tssat " sum ", #8, " sum "\n\t"
#define THIMBLE_LANE_POSITIVE(b)                                                                       \
  "ldrd r11, r12, [%[lanes], #4]\n\t" THIMBLE_LANE_SCALE("r2") b(THIMBLE_LANE_SCALE("r3"))             \
  "ldr r11, [%[lanes], #12]\n\t" THIMBLE_LANE_SHIFT("r2") b(THIMBLE_LANE_SHIFT("r3"))
#define THIMBLE_LANE_SIGNED(b)                                                                         \
  "ldrd r11, r12, [%[lanes], #4]\n\t" THIMBLE_LANE_TIE("r2")                                           \
  b("ldr r12, [%[lanes], #8]\n\t" THIMBLE_LANE_TIE("r3"))                                              \
  "ldr r11, [%[lanes], #12]\n\t" THIMBLE_LANE_SHIFT("r2") b(THIMBLE_LANE_SHIFT("r3"))
#define THIMBLE_LANE_CLAMPED(b)                                                                        \
  THIMBLE_LANE_SIGNED(b) b("pkhbt r2, r2, r3, lsl #16\n\t") "ldrd r11, r12, [%[lanes], #56]\n\t"       \
  "ssub16 r3, r2, r11\n\tsel r2, r2, r11\n\tssub16 r3, r12, r2\n\tsel r2, r2, r12\n\tasr.w r3, r2, #16\n\t"

#define THIMBLE_LANES(NAME, BODY, SKEW, SCALE)                                                                   \
  __attribute__((THIMBLE_OPAQUE, unused)) static void NAME(thimble_lanes *lanes) {                               \
    __asm__ volatile(                                                                                            \
        "1:\n\tldrd r2, r3, [%[lanes], #24]\n\tldrd r4, r5, [%[lanes], #32]\n\tldrd r6, r8, [%[lanes], #40]\n\t" \
        "ldmia.w r4!, {r9, r10, r11, r12}\n\tstmia.w %[lanes], {r9, r10, r11, r12}\n\t"                          \
        "add r1, r2, #" SKEW "\n\tmov r0, r5\n\tadd r6, r2, r6\n\tadd r5, r5, #1\n\tstrd r4, r5, [%[lanes], #32]\n\t" \
        "cmp r8, #0\n\tadd.w r8, r0, r8\n\tstr r8, [%[lanes], #20]\n\t"                                          \
        "add.w r8, r3, #48\n\tstrd r6, r8, [%[lanes], #24]\n\tldmia.w r3, {r4, r5, r6, r8, r9, r10}\n\tbeq.w 3f\n" \
        "2:\n\t" BODY(THIMBLE_LANE_KEEP) SCALE(THIMBLE_LANE_KEEP)                                                \
        "ldrd r11, r12, [%[lanes], #16]\n\tstrb r2, [r0]\n\tstrb r3, [r0, r11]\n\tadd r0, r0, r11, lsl #1\n\t"   \
        "cmp r0, r12\n\tbne.w 2b\n"                                                                              \
        "3:\n\tldr r11, [%[lanes], #48]\n\tcmp r11, #0\n\tbeq.w 4f\n\t"                                          \
        BODY(THIMBLE_LANE_DROP) SCALE(THIMBLE_LANE_DROP) "strb r2, [r0]\n"                                       \
        "4:\n\tldr r2, [%[lanes], #32]\n\tldr r3, [%[lanes], #52]\n\tcmp r2, r3\n\tbne.w 1b"                     \
        :                                                                                                        \
        : [lanes] "r"(lanes)                                                                                     \
        : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "cc", "memory");            \
  }

THIMBLE_LANES(thimble_lanes_1_positive, THIMBLE_LANE_1, "8", THIMBLE_LANE_POSITIVE)
THIMBLE_LANES(thimble_lanes_1_signed, THIMBLE_LANE_1, "8", THIMBLE_LANE_SIGNED)
THIMBLE_LANES(thimble_lanes_1_clamped, THIMBLE_LANE_1, "8", THIMBLE_LANE_CLAMPED)
THIMBLE_LANES(thimble_lanes_2_positive, THIMBLE_LANE_2, "32", THIMBLE_LANE_POSITIVE)
THIMBLE_LANES(thimble_lanes_2_signed, THIMBLE_LANE_2, "32", THIMBLE_LANE_SIGNED)
THIMBLE_LANES(thimble_lanes_2_clamped, THIMBLE_LANE_2, "32", THIMBLE_LANE_CLAMPED)

THIMBLE_INLINE void thimble_lanes_run(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                      thimble_lanes *lanes) {
  if (!THIMBLE_FULL_RANGE(&p->output)) {
    (p->stride_w == 1 ? thimble_lanes_1_clamped : thimble_lanes_2_clamped)(lanes);
  } else if (p->output.positive) {
    (p->stride_w == 1 ? thimble_lanes_1_positive : thimble_lanes_2_positive)(lanes);
  } else {
    (p->stride_w == 1 ? thimble_lanes_1_signed : thimble_lanes_2_signed)(lanes);
  }
}

/* A channel's filter rows, doubled, as words (0 and 1, 1 and 2), all rows twice. */
THIMBLE_INLINE void thimble_lanes_filter(int32_t channels, const THIMBLE_FLASH int8_t *weights, thimble_word *filter) {
  for (int32_t i = 0; i < 3; i++) {
    const uint32_t a = (uint32_t)(2 * weights[0]) & 0xFFFFu, b = (uint32_t)(2 * weights[channels]) & 0xFFFFu;
    const uint32_t c = (uint32_t)(2 * weights[2 * channels]) & 0xFFFFu;
    filter[2 * i] = filter[2 * i + 6] = a | b << 16;
    filter[2 * i + 1] = filter[2 * i + 7] = b | c << 16;
    weights += 3 * channels;
  }
}

/* The same for four channels; `twice` where the rows are needed twice. */
THIMBLE_INLINE void thimble_lanes_filters(int32_t channels, const THIMBLE_FLASH int8_t *weights, thimble_word *filter,
                                          int32_t twice) {
  for (int32_t i = 0; i < 3; i++) {
    const uint32_t x = thimble_load(weights), y = thimble_load(weights + channels);
    const uint32_t z = thimble_load(weights + 2 * channels);
    const uint32_t a = thimble_twice(thimble_even(x)), b = thimble_twice(thimble_even(y));
    const uint32_t c = thimble_twice(thimble_even(z)), d = thimble_twice(thimble_odd(x));
    const uint32_t e = thimble_twice(thimble_odd(y)), f = thimble_twice(thimble_odd(z));
    for (int32_t at = 2 * i; at <= (twice ? 2 * i + 6 : 2 * i); at += 6) {
      filter[at] = thimble_pack_low(a, b);
      filter[at + 1] = thimble_pack_low(b, c);
      filter[at + 12] = thimble_pack_low(d, e);
      filter[at + 13] = thimble_pack_low(e, f);
      filter[at + 24] = thimble_pack_high(a, b);
      filter[at + 25] = thimble_pack_high(b, c);
      filter[at + 36] = thimble_pack_high(d, e);
      filter[at + 37] = thimble_pack_high(e, f);
    }
    weights += 3 * channels;
  }
}

/* The channels of row y; the ring of the bands begins at `turn`. */
THIMBLE_INLINE void thimble_lanes_row(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                      const thimble_word *bands, const thimble_word *filters, int32_t turn,
                                      const THIMBLE_FLASH int32_t *channels, int8_t *out) {
  const uint32_t low = (uint32_t)(p->output.low & 0xFFFF), high = (uint32_t)(p->output.high & 0xFFFF);
  thimble_lanes lanes;
  lanes.pitch = p->out.pixel;
  lanes.band = bands;
  lanes.filter = filters + 2 * turn;
  lanes.channels = channels;
  lanes.out = out;
  lanes.step = 4 * 3 * p->pairs;
  lanes.span = p->out.width / 2 * 2 * p->out.pixel;
  lanes.odd = p->out.width % 2;
  lanes.stop = channels + 4 * p->lanes;
  lanes.low = low | low << 16;
  lanes.high = high | high << 16;
  thimble_lanes_run(p, &lanes);
}

#define THIMBLE_LANES_SUIT(p) ((p)->kernel_h == 3 && (p)->kernel_w == 3 && (p)->stride_w <= 2)

#endif

/* A weight, doubled, of a column that may be outside the filter. */
THIMBLE_INLINE uint32_t thimble_depthwise_weight(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                                 const THIMBLE_FLASH int8_t *weights, int32_t j) {
  return j >= 0 && j < p->kernel_w ? (uint32_t)(2 * weights[j * p->out.channels]) & 0xFFFFu : 0u;
}

/* A channel's filters as words, pair of columns by pair of columns, all rows of each twice. */
THIMBLE_INLINE void thimble_depthwise_filter(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                             const THIMBLE_FLASH int8_t *weights, thimble_word *filter) {
  for (int32_t first = 0; first < p->filters; first++) {
    for (int32_t j = -first; j < 2 * p->words - first; j += 2) {
      for (int32_t i = 0; i < p->kernel_h; i++) {
        const THIMBLE_FLASH int8_t *row = weights + i * p->kernel_w * p->out.channels;
        const uint32_t low = thimble_depthwise_weight(p, row, j), high = thimble_depthwise_weight(p, row, j + 1);
        filter[i] = filter[i + p->kernel_h] = low | high << 16;
      }
      filter += 2 * p->kernel_h;
    }
  }
}

/* A row of one channel's output. */
THIMBLE_INLINE void thimble_depthwise_row(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                          const thimble_word *band, const thimble_word *filters,
                                          const THIMBLE_FLASH int32_t *channel, int8_t *out) {
  for (int32_t x = 0; x < p->out.width; x++) {
    const int32_t column = x * p->stride_w;
    const thimble_word *cells = band + (column >> 1) * p->kernel_h;
    const thimble_word *filter = filters + (p->filters == 2 ? (column & 1) * p->words * 2 * p->kernel_h : 0);
    int32_t sum = channel[0];
    for (int32_t k = 0; k < p->words; k++) {
      THIMBLE_UNROLL(8)
      for (int32_t i = 0; i < p->kernel_h; i++) {
        sum = thimble_dual_mac(cells[i], filter[i], sum);
      }
      cells += p->kernel_h;
      filter += 2 * p->kernel_h;
    }
    *out = thimble_requantize(&p->output, sum, channel + 1);
    out += p->out.pixel;
  }
}

/* Rows [begin, end) of the output for the first channels. */
THIMBLE_INLINE void thimble_depthwise_lanes(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                            const int8_t *in, const THIMBLE_FLASH int8_t *weights,
                                            const THIMBLE_FLASH int32_t *channels, int8_t *out, thimble_word *bands,
                                            int32_t begin, int32_t end) {
  const int32_t step = p->pairs * p->kernel_h, size = p->filters * p->words * 2 * p->kernel_h;
  thimble_word *filters = bands + p->lanes * step;
#if defined(THIMBLE_DOT_ASSEMBLY)
  if (THIMBLE_LANES_SUIT(p) && p->lanes == 4) {
    thimble_lanes_filters(p->out.channels, weights, filters, end - begin > 1);
  } else if (THIMBLE_LANES_SUIT(p)) {
    for (int32_t c = 0; c < p->lanes; c++) {
      thimble_lanes_filter(p->out.channels, weights + c, filters + 12 * c);
    }
  } else
#endif
    for (int32_t c = 0; c < p->lanes; c++) {
      thimble_depthwise_filter(p, weights + c, filters + size * c);
    }
  int32_t ready = begin * p->stride_h - p->pad_top; /* rows before it are in the bands, or not needed */
  int32_t slot = 0;                                 /* where the next one goes */
  for (int32_t y = begin; y < end; y++) {
    const int32_t top = y * p->stride_h - p->pad_top;
    for (; ready < top + p->kernel_h; ready++) {
      if (ready >= top) {
        thimble_depthwise_band(p, in, ready, bands + slot);
      }
      slot = slot + 1 == p->kernel_h ? 0 : slot + 1;
    }
    int8_t *line = out + thimble_row(&p->out, y);
    const int32_t turn = slot == 0 ? 0 : p->kernel_h - slot; /* the ring begins with the oldest row, at `slot` */
#if defined(THIMBLE_DOT_ASSEMBLY)
    if (THIMBLE_LANES_SUIT(p)) {
      thimble_lanes_row(p, bands, filters, turn, channels, line);
      continue;
    }
#endif
    for (int32_t c = 0; c < p->lanes; c++) {
      thimble_depthwise_row(p, bands + c * step, filters + c * size + turn, channels + 4 * c, line + c);
    }
  }
}

/* Rows [begin, end) of the output. `channels` holds bias and scale per channel. Work space: for each channel
 * at a time a band and the filters twice. */
THIMBLE_KERNEL void thimble_depthwise_conv_2d_s8_dsp(const THIMBLE_FLASH thimble_depthwise_conv_2d_s8_dsp_params *p,
                                                     const int8_t *in, const THIMBLE_FLASH int8_t *weights,
                                                     const THIMBLE_FLASH int32_t *channels, int8_t *out,
                                                     void *scratch, int32_t begin, int32_t end) {
  for (int32_t next = 0; next < p->out.channels; next += p->lanes) {
    const int32_t first = thimble_min(next, p->out.channels - p->lanes);
    thimble_depthwise_lanes(p, in + first, weights + first, channels + 4 * first, out + first, (thimble_word *)scratch,
                            begin, end);
  }
}

#endif
