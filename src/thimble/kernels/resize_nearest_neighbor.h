/* SPDX-License-Identifier: Apache-2.0 */
/* RESIZE_NEAREST_NEIGHBOR on elements of any size: images are of bytes, a pixel being its elements' bytes.
 * Rows and pixels are written in order, once each; input and output must not overlap. */
#ifndef THIMBLE_RESIZE_NEAREST_NEIGHBOR_H
#define THIMBLE_RESIZE_NEAREST_NEIGHBOR_H

#include "base.h"

typedef struct {
  thimble_image in, out; /* distances in bytes */
} thimble_resize_nearest_neighbor_params;

/* Rows [begin, end) of the output. `places` are the input's row of every output row, then the input's column of every
 * output column. */
THIMBLE_KERNEL void thimble_resize_nearest_neighbor(const THIMBLE_FLASH thimble_resize_nearest_neighbor_params *p,
                                                    const void *in, const THIMBLE_FLASH int16_t *places, void *out,
                                                    int32_t begin, int32_t end) {
  const THIMBLE_FLASH int16_t *columns = places + p->out.height;
  for (int32_t y = begin; y < end; y++) {
    const uint8_t *from = (const uint8_t *)in + thimble_row(&p->in, places[y]);
    uint8_t *to = (uint8_t *)out + thimble_row(&p->out, y);
    for (int32_t x = 0; x < p->out.width; x++, to += p->out.pixel) {
      memcpy(to, from + columns[x] * p->in.pixel, (size_t)p->in.channels);
    }
  }
}

#endif
