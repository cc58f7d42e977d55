/* SPDX-License-Identifier: Apache-2.0 */
/* Loops over elements. Outputs are written in row-major order, once each; an element of an input that has the output's
 * shape is read before the output's element at its place is written, so such an input and the output may be the same
 * bytes where their elements are of one size. */
#ifndef THIMBLE_PAIRS_H
#define THIMBLE_PAIRS_H

#include "base.h"

/* Always specialised, also where other kernels are shared: with constant parameters these are hardly longer than the
 * parameters themselves. */
#define THIMBLE_SMALL_KERNEL THIMBLE_INLINE

typedef struct {
  int32_t count;
} thimble_each_params;

/* A kernel of one input: every `x` becomes `result`. */
#define THIMBLE_EACH(name, params, in_type, out_type, result)                                                         \
  THIMBLE_SMALL_KERNEL void thimble_##name(const THIMBLE_FLASH thimble_##params##_params *p, const in_type *in,       \
                                           out_type *out) {                                                           \
    for (int32_t i = 0; i < p->count; i++) {                                                                          \
      const in_type x = in[i];                                                                                        \
      out[i] = (out_type)(result);                                                                                    \
    }                                                                                                                 \
  }

/* Two inputs that are repeated along axes they lack: sizes of the output's axes, outermost first, and how many elements
 * to go on in each input after each turn of an axis' loop, less what the inner loops went on. */
typedef struct {
  int32_t size[5], left[5], right[5];
} thimble_pairs;

typedef struct {
  thimble_pairs over;
} thimble_pairwise_params;

#define THIMBLE_AXIS(over, axis, left, right)                                                                         \
  for (int32_t turns_##axis = (over).size[axis]; turns_##axis > 0;                                                    \
       turns_##axis--, left += (over).left[axis], right += (over).right[axis])

#define THIMBLE_EACH_PAIR(over, left, right)                                                                          \
  THIMBLE_AXIS(over, 0, left, right)                                                                                  \
  THIMBLE_AXIS(over, 1, left, right)                                                                                  \
  THIMBLE_AXIS(over, 2, left, right)                                                                                  \
  THIMBLE_AXIS(over, 3, left, right)                                                                                  \
  THIMBLE_AXIS(over, 4, left, right)

/* A kernel of two inputs: every `a` and `b` become `result`. */
#define THIMBLE_PAIRWISE(name, params, left_type, right_type, out_type, result)                                       \
  THIMBLE_SMALL_KERNEL void thimble_##name(const THIMBLE_FLASH thimble_##params##_params *p, const left_type *left,   \
                                           const right_type *right, out_type *out) {                                  \
    THIMBLE_EACH_PAIR(p->over, left, right) {                                                                         \
      const left_type a = *left;                                                                                      \
      const right_type b = *right;                                                                                    \
      *out++ = (out_type)(result);                                                                                    \
    }                                                                                                                 \
  }

#endif
