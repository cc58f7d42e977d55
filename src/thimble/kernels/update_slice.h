/* SPDX-License-Identifier: Apache-2.0 */
/* DYNAMIC_UPDATE_SLICE: the input with a block replaced, at a position that is only known at run time.
 * The input is copied first, unless the output is the very same bytes; then the block is written. The block and its
 * position must not overlap the output. A block that would stick out is moved inside. */
#ifndef THIMBLE_UPDATE_SLICE_H
#define THIMBLE_UPDATE_SLICE_H

#include "strided_copy.h"

typedef struct {
  int32_t bytes; /* of the input */
  int32_t rank;
  int32_t room[6], stride[6]; /* per axis: largest position, and distance in bytes */
  int32_t wide; /* whether positions are int64, not int32 */
  thimble_strided_copy_6_params block;
} thimble_update_slice_params;

THIMBLE_KERNEL void thimble_update_slice(const THIMBLE_FLASH thimble_update_slice_params *p, const void *in,
                                         const void *block, const void *begin, void *out) {
  int32_t at = 0;
  if (in != out) {
    memcpy(out, in, (size_t)p->bytes);
  }
  for (int32_t i = 0; i < p->rank; i++) {
    const int64_t first = p->wide ? ((const int64_t *)begin)[i] : ((const int32_t *)begin)[i];
    at += (first < 0 ? 0 : first > p->room[i] ? p->room[i] : (int32_t)first) * p->stride[i];
  }
  thimble_strided_copy_6(&p->block, block, (uint8_t *)out + at);
}

#endif
