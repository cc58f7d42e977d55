/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of any type from places at regular distances to places at regular distances.
 * Elements are read and written one after the other, the last axis fastest. No overlap of what is read and written. */
#ifndef THIMBLE_STRIDED_COPY_H
#define THIMBLE_STRIDED_COPY_H

#include "move.h"

/* Three axes. Distances are in bytes, and may be negative or (of the input) 0. Unused axes, the first ones, have an
 * extent of 1. */
typedef struct {
  int32_t extent[3], in[3], out[3];
  int32_t run;  /* bytes in one piece on both sides */
  int32_t item; /* bytes of an element */
} thimble_strided_copy_params;

/* Three axes around three. */
typedef struct {
  int32_t extent[3], in[3], out[3];
  thimble_strided_copy_params inner;
} thimble_strided_copy_6_params;

THIMBLE_KERNEL void thimble_strided_copy(const THIMBLE_FLASH thimble_strided_copy_params *p, const void *in,
                                         void *out) {
  for (int32_t i = 0; i < p->extent[0]; i++) {
    for (int32_t j = 0; j < p->extent[1]; j++) {
      const uint8_t *from = (const uint8_t *)in + (i * p->in[0] + j * p->in[1]);
      uint8_t *to = (uint8_t *)out + (i * p->out[0] + j * p->out[1]);
      for (int32_t k = 0; k < p->extent[2]; k++) {
        thimble_move(from + k * p->in[2], to + k * p->out[2], p->run, p->item);
      }
    }
  }
}

THIMBLE_KERNEL void thimble_strided_copy_6(const THIMBLE_FLASH thimble_strided_copy_6_params *p, const void *in,
                                           void *out) {
  for (int32_t i = 0; i < p->extent[0]; i++) {
    for (int32_t j = 0; j < p->extent[1]; j++) {
      for (int32_t k = 0; k < p->extent[2]; k++) {
        thimble_strided_copy(&p->inner, (const uint8_t *)in + (i * p->in[0] + j * p->in[1] + k * p->in[2]),
                             (uint8_t *)out + (i * p->out[0] + j * p->out[1] + k * p->out[2]));
      }
    }
  }
}

#endif
