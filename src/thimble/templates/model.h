/* SPDX-License-Identifier: Apache-2.0 */
/* $name: a neural network compiled by Thimble. No heap, no recursion, no interpreter.
 *
$usage
 *
 * The arena is yours: ${name}_arena (link ${name}_arena.c), or any block of ${NAME}_ARENA_BYTES bytes at a
 * multiple of ${NAME}_ARENA_ALIGNMENT. With an arena each, several threads may run the network at once. Between
 * inferences of a network that keeps nothing, the arena's bytes are free for other uses.
 *
 * Inputs and outputs are arrays in the order of their shape, last axis fastest. Of a quantized one, SCALE and
 * ZERO_POINT say what its integers mean: real = SCALE * (q - ZERO_POINT).
 */
#ifndef THIMBLE_MODEL_${NAME}_H
#define THIMBLE_MODEL_${NAME}_H

#include <stdint.h>

#define ${NAME}_ARENA_BYTES $arena_bytes
#define ${NAME}_ARENA_ALIGNMENT $alignment
#define ${NAME}_STEPS $steps

#ifdef __cplusplus
extern "C" {
#endif

$arena

${placed}void ${name}_init($parameter);
$entry

$inputs
$outputs
/* To profile, define ${NAME}_HOOK(step) where ${name}.c is compiled (with gcc: -include my_hook.h): it is run
 * before every step, with the step's number.
 *
$step_names
 */

#ifdef __cplusplus
}
#endif
#endif
