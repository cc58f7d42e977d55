/* SPDX-License-Identifier: Apache-2.0 */
/* MAX_POOL_2D on int8 by packed arithmetic, four channels at a time; their number is a multiple of four. Order and
 * overlap are those of pool_2d.h.
 * Source: Armv7-M Architecture Reference Manual (DDI 0403), A7.7: SSUB8, SEL. */
#ifndef THIMBLE_POOL_2D_DSP_H
#define THIMBLE_POOL_2D_DSP_H

#include "dsp.h"
#include "pool_2d.h"

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)

/* The larger of each pair of bytes with sign; then the smaller. */
THIMBLE_INLINE uint32_t thimble_larger_bytes(uint32_t x, uint32_t y) {
  uint32_t r;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(r) : "r"(x), "r"(y));
  return r;
}
THIMBLE_INLINE uint32_t thimble_smaller_bytes(uint32_t x, uint32_t y) {
  uint32_t r;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(r) : "r"(x), "r"(y));
  return r;
}

#else

/* The bytes of x where those of `which` are 255, else those of y. */
THIMBLE_INLINE uint32_t thimble_chosen_bytes(uint32_t x, uint32_t y, uint32_t which) {
  return (x & which) | (y & ~which);
}
THIMBLE_INLINE uint32_t thimble_not_below(uint32_t x, uint32_t y) {
  uint32_t which = 0;
  for (int32_t i = 0; i < 32; i += 8) {
    which |= (int8_t)(uint8_t)(x >> i) >= (int8_t)(uint8_t)(y >> i) ? (uint32_t)0xFF << i : 0;
  }
  return which;
}
THIMBLE_INLINE uint32_t thimble_larger_bytes(uint32_t x, uint32_t y) {
  return thimble_chosen_bytes(x, y, thimble_not_below(x, y));
}
THIMBLE_INLINE uint32_t thimble_smaller_bytes(uint32_t x, uint32_t y) {
  return thimble_chosen_bytes(y, x, thimble_not_below(x, y));
}

#endif

/* Rows [begin, end) of the output. */
THIMBLE_KERNEL void thimble_max_pool_2d_s8_dsp(const THIMBLE_FLASH thimble_pool_2d_params *p, const int8_t *in,
                                               int8_t *out, int32_t begin, int32_t end) {
  const uint32_t low = (uint32_t)(uint8_t)p->low * 0x01010101u, high = (uint32_t)(uint8_t)p->high * 0x01010101u;
  for (int32_t y = begin; y < end; y++) {
    const thimble_pool_span rows = thimble_pool_span_of(y * p->stride_h - p->pad_top, p->kernel_h, p->in.height);
    for (int32_t x = 0; x < p->out.width; x++) {
      const thimble_pool_span columns =
          thimble_pool_span_of(x * p->stride_w - p->pad_left, p->kernel_w, p->in.width);
      int8_t *pixel = out + thimble_row(&p->out, y) + x * p->out.pixel;
      for (int32_t c = 0; c < p->in.channels; c += 4) {
        uint32_t largest = low;
        for (int32_t i = 0; i < rows.count; i++) {
          const int8_t *cell = in + thimble_row(&p->in, rows.first + i) + columns.first * p->in.pixel + c;
          for (int32_t j = columns.count; j > 0; j--) {
            largest = thimble_larger_bytes(largest, thimble_load(cell));
            cell += p->in.pixel;
          }
        }
        largest = thimble_smaller_bytes(largest, high);
        memcpy(pixel + c, &largest, 4);
      }
    }
  }
}

#endif
