/* SPDX-License-Identifier: Apache-2.0 */
/* ADD_N of two to eight int8 tensors of one scale. The output may be the same bytes as any input. */
#ifndef THIMBLE_ADD_N_S8_H
#define THIMBLE_ADD_N_S8_H

#include "pairs.h"
#include "scale.h"

typedef struct {
  int32_t count;    /* elements */
  int32_t operands; /* the pointers after those repeat the last one */
  int32_t zero;     /* of the whole sum */
  int32_t bits;     /* by which it is shifted to the left */
  thimble_result out;
} thimble_add_n_s8_params;

THIMBLE_SMALL_KERNEL void thimble_add_n_s8(const THIMBLE_FLASH thimble_add_n_s8_params *p, const int8_t *a,
                                           const int8_t *b, const int8_t *c, const int8_t *d, const int8_t *e,
                                           const int8_t *f, const int8_t *g, const int8_t *h, int8_t *out) {
  const int32_t n = p->operands;
  for (int32_t i = 0; i < p->count; i++) {
    int32_t sum = a[i] + b[i] - p->zero;
    sum += n > 2 ? c[i] : 0;
    sum += n > 3 ? d[i] : 0;
    sum += n > 4 ? e[i] : 0;
    sum += n > 5 ? f[i] : 0;
    sum += n > 6 ? g[i] : 0;
    sum += n > 7 ? h[i] : 0;
    out[i] = (int8_t)thimble_stored(thimble_shift_left(sum, p->bits), &p->out);
  }
}

#endif
