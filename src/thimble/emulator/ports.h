/* SPDX-License-Identifier: Apache-2.0 */
/* The interface of $name as the harness uses it. */
#include "$name.h"

#define MODEL_ARENA ${name}_arena
#define MODEL_ARENA_POINTER $pointer
#define MODEL_STARTUP() $startup
#define MODEL_INIT ${name}_init
#define MODEL_INVOKE ${name}_invoke
#define MODEL_READ_INPUTS(arena) $reads
#define MODEL_WRITE_OUTPUTS(arena) $writes
$rows
