/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of single elements that are a clamp. Input and output may be the same bytes. */
#ifndef THIMBLE_CLAMP_H
#define THIMBLE_CLAMP_H

#include "pairs.h"

typedef struct {
  int32_t count;
  int32_t slope; /* 1 or -1 */
  int32_t offset, low, high;
} thimble_clamp_params;

/* slope * x + offset between the bounds; an 8-bit result may be int8 or uint8. */
THIMBLE_EACH(clamp_s8, clamp, int8_t, uint8_t, thimble_clamp(p->slope * x + p->offset, p->low, p->high))
THIMBLE_EACH(clamp_u8, clamp, uint8_t, uint8_t, thimble_clamp(p->slope * x + p->offset, p->low, p->high))
THIMBLE_EACH(clamp_s16, clamp, int16_t, int16_t, thimble_clamp(p->slope * x + p->offset, p->low, p->high))

#endif
