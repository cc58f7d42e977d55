/* SPDX-License-Identifier: Apache-2.0 */
/* What all kernels share: how they are compiled, and where constants lie. */
#ifndef THIMBLE_BASE_H
#define THIMBLE_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A function that compilers must not look into from outside. GCC 12 takes a loop whose stores it addresses relative to
 * another pointer for one without effect, and then drops calls of the function that holds it. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 8
#define THIMBLE_OPAQUE noipa
#else
#define THIMBLE_OPAQUE noinline
#endif

/* Kernels are specialised for every operator (their parameters are constants), unless code is to be shared. */
#if defined(THIMBLE_SHARE_KERNELS) && defined(__GNUC__)
#define THIMBLE_KERNEL __attribute__((THIMBLE_OPAQUE, unused)) static
#elif defined(__GNUC__)
#define THIMBLE_KERNEL __attribute__((always_inline)) static inline
#else
#define THIMBLE_KERNEL static inline
#endif

/* Small functions within kernels. */
#if defined(__GNUC__)
#define THIMBLE_INLINE __attribute__((always_inline)) static inline
#define THIMBLE_NOINLINE __attribute__((THIMBLE_OPAQUE))
#define THIMBLE_SECTION(name) __attribute__((section(name)))
#else
#define THIMBLE_INLINE static inline
#define THIMBLE_NOINLINE
#define THIMBLE_SECTION(name)
#endif

/* Unroll the loop that follows. clang warns where it cannot, as for loops whose end is a parameter in shared code. */
#if defined(__clang__) && !defined(THIMBLE_SHARE_KERNELS)
#pragma clang diagnostic ignored "-Wpass-failed" /* with little or no optimization no loop can be unrolled */
#define THIMBLE_UNROLL(n) _Pragma("unroll")
#elif defined(__clang__)
#define THIMBLE_UNROLL(n)
#elif defined(__GNUC__) && __GNUC__ >= 8
#define THIMBLE_PRAGMA(x) _Pragma(#x)
#define THIMBLE_UNROLL(n) THIMBLE_PRAGMA(GCC unroll n)
#else
#define THIMBLE_UNROLL(n)
#endif

/* Constants stay in flash. On AVR that is another address space, so every pointer to one must say so. */
#if defined(__AVR__)
#define THIMBLE_FLASH __memx
#else
#define THIMBLE_FLASH
#endif

THIMBLE_INLINE int32_t thimble_min(int32_t a, int32_t b) { return a < b ? a : b; }
THIMBLE_INLINE int32_t thimble_max(int32_t a, int32_t b) { return a > b ? a : b; }
THIMBLE_INLINE int32_t thimble_clamp(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : x;
}

/* An image [height, width, channels] whose rows may be kept in a ring of `ring` rows; distances are in elements. */
typedef struct {
  int32_t height, width, channels;
  int32_t row, pixel; /* from one row to the next, and from one pixel to the next */
  int32_t ring;       /* rows that are kept: `height` where all are */
} thimble_image;

/* First element of a row of an image, counted from the image's first element. */
THIMBLE_INLINE int32_t thimble_row(const THIMBLE_FLASH thimble_image *image, int32_t y) {
  return (image->ring == image->height ? y : y % image->ring) * image->row;
}

#endif
