/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of several types by index: one function serves all of them, and is compiled once for each type that is
 * used, since `type` is a constant wherever it is given. */
#ifndef THIMBLE_ELEMENTS_H
#define THIMBLE_ELEMENTS_H

#include "base.h"

#define THIMBLE_S8 0
#define THIMBLE_U8 1
#define THIMBLE_S16 2

THIMBLE_INLINE int32_t thimble_get(const void *from, int32_t index, int32_t type) {
  if (type == THIMBLE_S16) {
    return ((const int16_t *)from)[index];
  }
  return type == THIMBLE_S8 ? (int32_t)((const int8_t *)from)[index] : (int32_t)((const uint8_t *)from)[index];
}

/* `value` must be one of the type's. */
THIMBLE_INLINE void thimble_put(void *to, int32_t index, int32_t value, int32_t type) {
  if (type == THIMBLE_S16) {
    ((int16_t *)to)[index] = (int16_t)value;
  } else if (type == THIMBLE_S8) {
    ((int8_t *)to)[index] = (int8_t)value;
  } else {
    ((uint8_t *)to)[index] = (uint8_t)value;
  }
}

#endif
