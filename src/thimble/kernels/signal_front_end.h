/* SPDX-License-Identifier: Apache-2.0 */
/* TFLM's custom operators for audio, but for the Fourier transform. Each reads and writes its elements in order; unless
 * a kernel says otherwise, input and output must not overlap. */
#ifndef THIMBLE_SIGNAL_FRONT_END_H
#define THIMBLE_SIGNAL_FRONT_END_H

#include "base.h"

/* How many bits a number takes; 0 for 0. */
THIMBLE_INLINE int32_t thimble_bit_length(uint64_t x) {
  int32_t bits = 0;
  for (; x != 0; x >>= 1) {
    bits++;
  }
  return bits;
}

typedef struct {
  int32_t frames, size, shift;
} thimble_signal_window_params;

/* Input and output may be the same bytes. */
THIMBLE_KERNEL void thimble_signal_window(const THIMBLE_FLASH thimble_signal_window_params *p, const int16_t *in,
                                          const THIMBLE_FLASH int16_t *window, int16_t *out) {
  for (int32_t frame = 0; frame < p->frames; frame++) {
    for (int32_t i = 0; i < p->size; i++) {
      const int32_t product = ((int32_t)*in++ * window[i]) >> p->shift;
      *out++ = (int16_t)thimble_clamp(product, INT16_MIN, INT16_MAX);
    }
  }
}

typedef struct {
  int32_t size;
} thimble_signal_fft_auto_scale_params;

/* Input and output may be the same bytes. The magnitude of -32768 does not fit and counts as -32768, as in TFLM. */
THIMBLE_KERNEL void thimble_signal_fft_auto_scale(const THIMBLE_FLASH thimble_signal_fft_auto_scale_params *p,
                                                  const int16_t *in, int16_t *out, int32_t *bits) {
  int32_t largest = 0;
  for (int32_t i = 0; i < p->size; i++) {
    if (in[i] > largest) {
      largest = in[i];
    } else if (-(int32_t)in[i] > largest) {
      largest = in[i] > INT16_MIN ? -(int32_t)in[i] : INT16_MIN;
    }
  }
  const int32_t shift = largest > 0 ? 15 - thimble_bit_length((uint64_t)largest) : 0;
  for (int32_t i = 0; i < p->size; i++) {
    out[i] = (int16_t)(uint16_t)((uint32_t)in[i] << shift);
  }
  *bits = shift;
}

typedef struct {
  int32_t size, start, end;
} thimble_signal_energy_params;

/* Input and output may be the same bytes: complex numbers of int16 become uint32. */
THIMBLE_KERNEL void thimble_signal_energy(const THIMBLE_FLASH thimble_signal_energy_params *p, const int16_t *in,
                                          uint32_t *out) {
  for (int32_t i = 0; i < p->size; i++) {
    int16_t cell[2];
    memcpy(cell, in + 2 * i, sizeof cell);
    const int32_t re = cell[0], im = cell[1];
    const uint32_t energy = (uint32_t)(re * re) + (uint32_t)(im * im);
    out[i] = i >= p->start && i < p->end ? energy : 0;
  }
}

typedef struct {
  int32_t channels;
} thimble_signal_filter_bank_params;

/* Sums modulo 2^64. The channel before the first only supplies its falling half. */
THIMBLE_KERNEL void thimble_signal_filter_bank(const THIMBLE_FLASH thimble_signal_filter_bank_params *p,
                                               const uint32_t *in, const THIMBLE_FLASH int16_t *weights,
                                               const THIMBLE_FLASH int16_t *unweights,
                                               const THIMBLE_FLASH int16_t *starts,
                                               const THIMBLE_FLASH int16_t *weight_starts,
                                               const THIMBLE_FLASH int16_t *widths, uint64_t *out) {
  uint64_t carried = 0;
  for (int32_t i = 0; i <= p->channels; i++) {
    const uint32_t *energies = in + starts[i];
    uint64_t rising = carried, falling = 0;
    for (int32_t j = 0; j < widths[i]; j++) {
      rising += (uint64_t)weights[weight_starts[i] + j] * energies[j];
      falling += (uint64_t)unweights[weight_starts[i] + j] * energies[j];
    }
    if (i > 0) {
      out[i - 1] = rising;
    }
    carried = falling;
  }
}

typedef struct {
  int32_t size;
} thimble_signal_square_root_params;

/* Nearest square root of a number below 4^digits, digit by digit; at most 2^digits - 1. */
THIMBLE_INLINE uint32_t thimble_rounded_root(uint64_t x, int32_t digits) {
  uint64_t root = 0, left = x;
  for (int32_t i = digits - 1; i >= 0; i--) {
    const uint64_t taken = ((root << 1) + ((uint64_t)1 << i)) << i;
    if (left >= taken) {
      left -= taken;
      root += (uint64_t)1 << i;
    }
  }
  const uint64_t most = ((uint64_t)1 << digits) - 1;
  return (uint32_t)(left > root && root != most ? root + 1 : root);
}

THIMBLE_KERNEL void thimble_signal_square_root(const THIMBLE_FLASH thimble_signal_square_root_params *p,
                                               const uint64_t *in, const int32_t *shift, uint32_t *out) {
  for (int32_t i = 0; i < p->size; i++) {
    out[i] = thimble_rounded_root(in[i], in[i] >> 32 ? 32 : 16) >> *shift;
  }
}

typedef struct {
  int32_t channels;
  uint32_t smoothing, one_minus_smoothing, alternate_smoothing, alternate_one_minus_smoothing;
  uint32_t min_signal_remaining;
  int32_t smoothing_bits, spectral_subtraction_bits, clamping;
} thimble_signal_spectral_subtraction_params;

/* The noise is read from `before` and written to `state`, which are the same bytes, and to `noise`. */
THIMBLE_KERNEL void thimble_signal_spectral_subtraction(
    const THIMBLE_FLASH thimble_signal_spectral_subtraction_params *p, const uint32_t *in, const uint32_t *before,
    uint32_t *state, uint32_t *out, uint32_t *noise) {
  for (int32_t i = 0; i < p->channels; i++) {
    const uint32_t smoothing = i & 1 ? p->alternate_smoothing : p->smoothing;
    const uint32_t rest = i & 1 ? p->alternate_one_minus_smoothing : p->one_minus_smoothing;
    const uint32_t scaled = in[i] << p->smoothing_bits;
    const uint64_t mixed = (uint64_t)scaled * smoothing + (uint64_t)before[i] * rest;
    const uint32_t estimate = (uint32_t)(mixed >> p->spectral_subtraction_bits);
    const uint32_t used = estimate > scaled ? scaled : estimate;
    const uint32_t least = (uint32_t)(((uint64_t)in[i] * p->min_signal_remaining) >> p->spectral_subtraction_bits);
    const uint32_t left = (scaled - used) >> p->smoothing_bits;
    state[i] = p->clamping ? used : estimate;
    noise[i] = state[i];
    out[i] = left > least ? left : least;
  }
}

typedef struct {
  int32_t channels, shift;
} thimble_signal_pcan_params;

/* The gain for a noise: a parabola per power of two, in int16. */
THIMBLE_INLINE int32_t thimble_signal_gain(uint32_t noise, const THIMBLE_FLASH int16_t *gains) {
  if (noise <= 2) {
    return gains[noise];
  }
  const int32_t interval = thimble_bit_length(noise);
  const THIMBLE_FLASH int16_t *piece = gains + (4 * interval - 6);
  const int32_t part = (int32_t)((interval < 11 ? noise << (11 - interval) : noise >> (interval - 11)) & 0x3FF);
  const int32_t slope = ((piece[2] * part) >> 5) + piece[1] * 32;
  const int32_t result = ((int32_t)((uint32_t)slope * (uint32_t)part + (1u << 14)) >> 15) + piece[0];
  return (int16_t)(uint16_t)(uint32_t)result;
}

/* Input, noise and output may be the same bytes. */
THIMBLE_KERNEL void thimble_signal_pcan(const THIMBLE_FLASH thimble_signal_pcan_params *p, const uint32_t *in,
                                        const uint32_t *noise, const THIMBLE_FLASH int16_t *gains, uint32_t *out) {
  for (int32_t i = 0; i < p->channels; i++) {
    const uint32_t gain = (uint32_t)thimble_signal_gain(noise[i], gains);
    const uint32_t ratio = (uint32_t)(((uint64_t)in[i] * gain) >> p->shift);
    out[i] = ratio < (uint32_t)2 << 12 ? (ratio * ratio) >> 20 : (ratio >> 6) - (1u << 6);
  }
}

typedef struct {
  int32_t channels;
  uint32_t scale;
  int32_t bits;
} thimble_signal_log_params;

/* The natural logarithm of a number above 0 in Q16, by 128 straight pieces per power of two. */
THIMBLE_INLINE uint32_t thimble_signal_natural(uint32_t x, const THIMBLE_FLASH uint16_t *bends) {
  const int32_t power = thimble_bit_length(x) - 1;
  const int32_t above = (int32_t)(x - ((uint32_t)1 << power));
  const int32_t part = (int32_t)(power < 16 ? (uint32_t)above << (16 - power) : (uint32_t)above >> (power - 16));
  const int32_t piece = part >> 9;
  const int32_t first = bends[piece], second = bends[piece + 1];
  const int32_t bend = first + (((second - first) * (part - piece * 512)) >> 16);
  const uint32_t log2 = ((uint32_t)power << 16) + (uint32_t)(part + bend);
  return (uint32_t)(((uint64_t)45426 * log2 + 32768) >> 16);
}

THIMBLE_KERNEL void thimble_signal_log(const THIMBLE_FLASH thimble_signal_log_params *p, const uint32_t *in,
                                       const THIMBLE_FLASH uint16_t *bends, int16_t *out) {
  for (int32_t i = 0; i < p->channels; i++) {
    const uint32_t x = in[i] << p->bits;
    const uint32_t result = x > 1 ? (p->scale * thimble_signal_natural(x, bends) + 32768) >> 16 : 0;
    out[i] = result < INT16_MAX ? (int16_t)result : INT16_MAX;
  }
}

#endif
