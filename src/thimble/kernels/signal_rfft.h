/* SPDX-License-Identifier: Apache-2.0 */
/* SignalRfft on int16, powers of two: what ops/signal_rfft.py says, in the same stages. */
#ifndef THIMBLE_SIGNAL_RFFT_H
#define THIMBLE_SIGNAL_RFFT_H

#include "base.h"

typedef struct {
  int32_t given;      /* samples of the frame; the rest up to 2 * half is zero */
  int32_t half;       /* complex points */
  int32_t fours, two; /* stages of radix four, and whether there is one of two, which runs first */
} thimble_signal_rfft_params;

typedef struct {
  int32_t re, im; /* values of int16 */
} thimble_complex;

/* What int16 keeps of a sum. */
THIMBLE_INLINE int32_t thimble_short(int32_t x) { return (int16_t)(uint16_t)(uint32_t)x; }

THIMBLE_INLINE thimble_complex thimble_complex_add(thimble_complex a, thimble_complex b) {
  const thimble_complex sum = {thimble_short(a.re + b.re), thimble_short(a.im + b.im)};
  return sum;
}

THIMBLE_INLINE thimble_complex thimble_complex_subtract(thimble_complex a, thimble_complex b) {
  const thimble_complex difference = {thimble_short(a.re - b.re), thimble_short(a.im - b.im)};
  return difference;
}

/* A complex number from memory, times `part` / 32768. */
THIMBLE_INLINE thimble_complex thimble_complex_load(const int16_t *cell, int32_t part) {
  const thimble_complex loaded = {(cell[0] * part + 16384) >> 15, (cell[1] * part + 16384) >> 15};
  return loaded;
}

THIMBLE_INLINE void thimble_complex_store(int16_t *cell, thimble_complex x) {
  cell[0] = (int16_t)x.re;
  cell[1] = (int16_t)x.im;
}

/* Product with a number of the unit circle, in Q15. */
THIMBLE_INLINE thimble_complex thimble_complex_turn(thimble_complex a, const THIMBLE_FLASH int16_t *unit) {
  const int32_t re = unit[0], im = unit[1];
  const thimble_complex product = {thimble_short((a.re * re - a.im * im + 16384) >> 15),
                                thimble_short((a.re * im + a.im * re + 16384) >> 15)};
  return product;
}

/* Samples in the order in which the stages want them: the digits of each place reversed. */
THIMBLE_INLINE void thimble_signal_rfft_order(const THIMBLE_FLASH thimble_signal_rfft_params *p, const int16_t *in,
                                              int16_t *work) {
  for (int32_t i = 0; i < p->half; i++) {
    int32_t digits = i, place = 0;
    if (p->two) {
      place = digits & 1;
      digits >>= 1;
    }
    for (int32_t stage = 0; stage < p->fours; stage++) {
      place = place * 4 + (digits & 3);
      digits >>= 2;
    }
    work[2 * i] = 2 * place < p->given ? in[2 * place] : 0;
    work[2 * i + 1] = 2 * place + 1 < p->given ? in[2 * place + 1] : 0;
  }
}

/* Transforms of two neighbours each. */
THIMBLE_INLINE void thimble_signal_rfft_two(const THIMBLE_FLASH thimble_signal_rfft_params *p,
                                            const THIMBLE_FLASH int16_t *twiddles, int16_t *work) {
  for (int32_t i = 0; i < p->half; i += 2) {
    const thimble_complex a = thimble_complex_load(work + 2 * i, 32767 / 2);
    const thimble_complex b = thimble_complex_turn(thimble_complex_load(work + 2 * i + 2, 32767 / 2), twiddles);
    thimble_complex_store(work + 2 * i, thimble_complex_add(a, b));
    thimble_complex_store(work + 2 * i + 2, thimble_complex_subtract(a, b));
  }
}

/* Four transforms of `size` points each become one; `step` is how far their angles are apart. */
THIMBLE_INLINE void thimble_signal_rfft_four(const THIMBLE_FLASH int16_t *twiddles, int16_t *work, int32_t size,
                                             int32_t step) {
  for (int32_t i = 0; i < size; i++) {
    int16_t *cell = work + 2 * i;
    const THIMBLE_FLASH int16_t *unit = twiddles + 2 * i * step;
    const thimble_complex a = thimble_complex_load(cell, 32767 / 4);
    const thimble_complex b = thimble_complex_turn(thimble_complex_load(cell + 2 * size, 32767 / 4), unit);
    const thimble_complex c =
        thimble_complex_turn(thimble_complex_load(cell + 4 * size, 32767 / 4), twiddles + 4 * i * step);
    const thimble_complex d =
        thimble_complex_turn(thimble_complex_load(cell + 6 * size, 32767 / 4), twiddles + 6 * i * step);
    const thimble_complex outer = thimble_complex_subtract(a, c), inner = thimble_complex_subtract(b, d);
    const thimble_complex even = thimble_complex_add(a, c), odd = thimble_complex_add(b, d);
    const thimble_complex turned = {inner.im, -inner.re};
    thimble_complex_store(cell, thimble_complex_add(even, odd));
    thimble_complex_store(cell + 2 * size, thimble_complex_add(outer, turned));
    thimble_complex_store(cell + 4 * size, thimble_complex_subtract(even, odd));
    thimble_complex_store(cell + 6 * size, thimble_complex_subtract(outer, turned));
  }
}

/* The spectrum of the real samples from that of the pairs: writes from both ends to the middle. */
THIMBLE_INLINE void thimble_signal_rfft_last(const THIMBLE_FLASH thimble_signal_rfft_params *p, const int16_t *work,
                                             const THIMBLE_FLASH int16_t *twiddles, int16_t *out) {
  const thimble_complex ends = thimble_complex_load(work, 32767 / 2);
  out[0] = (int16_t)thimble_short(ends.re + ends.im);
  out[1] = 0;
  out[2 * p->half] = (int16_t)thimble_short(ends.re - ends.im);
  out[2 * p->half + 1] = 0;
  for (int32_t k = 1; k <= p->half / 2; k++) {
    const int32_t other = p->half - k;
    const int16_t mirrored[2] = {work[2 * other], (int16_t)thimble_short(-work[2 * other + 1])};
    const thimble_complex near = thimble_complex_load(work + 2 * k, 32767 / 2);
    const thimble_complex far = thimble_complex_load(mirrored, 32767 / 2);
    const thimble_complex sum = thimble_complex_add(near, far);
    const thimble_complex turned = thimble_complex_turn(thimble_complex_subtract(near, far), twiddles + 2 * (k - 1));
    out[2 * k] = (int16_t)((sum.re + turned.re) >> 1);
    out[2 * k + 1] = (int16_t)((sum.im + turned.im) >> 1);
    out[2 * other] = (int16_t)((sum.re - turned.re) >> 1);
    out[2 * other + 1] = (int16_t)((turned.im - sum.im) >> 1);
  }
}

/* One frame. `twiddles` are those of `half` points, `last` those of the last step; `scratch` holds 2 * half numbers. */
THIMBLE_KERNEL void thimble_signal_rfft(const THIMBLE_FLASH thimble_signal_rfft_params *p, const int16_t *in,
                                        const THIMBLE_FLASH int16_t *twiddles, const THIMBLE_FLASH int16_t *last,
                                        int16_t *out, int16_t *scratch) {
  thimble_signal_rfft_order(p, in, scratch);
  int32_t size = 1;
  if (p->two) {
    thimble_signal_rfft_two(p, twiddles, scratch);
    size = 2;
  }
  for (; size < p->half; size *= 4) {
    for (int32_t start = 0; start < p->half; start += 4 * size) {
      thimble_signal_rfft_four(twiddles, scratch + 2 * start, size, p->half / (4 * size));
    }
  }
  thimble_signal_rfft_last(p, scratch, last, out);
}

#endif
