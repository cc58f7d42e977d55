/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in one piece, from one place to another. */
#ifndef THIMBLE_COPY_H
#define THIMBLE_COPY_H

#include "base.h"

typedef struct {
  int32_t bytes;
} thimble_copy_params;

THIMBLE_KERNEL void thimble_copy(const THIMBLE_FLASH thimble_copy_params *p, const void *in, void *out) {
  memcpy(out, in, (size_t)p->bytes);
}

#endif
