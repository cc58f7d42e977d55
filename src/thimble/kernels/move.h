/* SPDX-License-Identifier: Apache-2.0 */
/* One element of any type, or a run of bytes, from one place to another; and one value into many places. */
#ifndef THIMBLE_MOVE_H
#define THIMBLE_MOVE_H

#include "base.h"

/* Words that stand for whatever has their size: their accesses may alias those of any other type. */
#if defined(__GNUC__)
#define THIMBLE_MAY_ALIAS __attribute__((may_alias))
#else
#define THIMBLE_MAY_ALIAS
#endif
typedef uint16_t THIMBLE_MAY_ALIAS thimble_word16;
typedef uint32_t THIMBLE_MAY_ALIAS thimble_word32;
typedef uint64_t THIMBLE_MAY_ALIAS thimble_word64;

/* `run` bytes; where they are one element, `item` is the same and both places are multiples of it. No overlap. */
THIMBLE_INLINE void thimble_move(const uint8_t *in, uint8_t *out, int32_t run, int32_t item) {
  if (run == 1) {
    *out = *in;
  } else if (run == 2 && item == 2) {
    *(thimble_word16 *)(void *)out = *(const thimble_word16 *)(const void *)in;
  } else if (run == 4 && item == 4) {
    *(thimble_word32 *)(void *)out = *(const thimble_word32 *)(const void *)in;
  } else if (run == 8 && item == 8) {
    *(thimble_word64 *)(void *)out = *(const thimble_word64 *)(const void *)in;
  } else {
    memcpy(out, in, (size_t)run);
  }
}

/* The low `item` bytes of a value (1, 2 or 4) over and over, `bytes` in all; the place behind them. */
THIMBLE_KERNEL uint8_t *thimble_fill_bytes(uint8_t *out, int32_t bytes, int32_t value, int32_t item) {
  if (item == 1) {
    memset(out, (int)(value & 0xFF), (size_t)bytes);
  } else if (item == 2) {
    for (int32_t i = 0; i < bytes; i += 2) {
      *(thimble_word16 *)(void *)(out + i) = (uint16_t)(uint32_t)value;
    }
  } else {
    for (int32_t i = 0; i < bytes; i += 4) {
      *(thimble_word32 *)(void *)(out + i) = (uint32_t)value;
    }
  }
  return out + bytes;
}

#endif
