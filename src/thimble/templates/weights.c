/* SPDX-License-Identifier: Apache-2.0 */
/* Constants of $name. Define THIMBLE_WEIGHTS_SECTION to place them in a section of your linker script. */
#include "${name}_weights.h"

#if defined(THIMBLE_WEIGHTS_SECTION)
#define THIMBLE_WEIGHTS(alignment) THIMBLE_SECTION(THIMBLE_WEIGHTS_SECTION) _Alignas(alignment)
#else
#define THIMBLE_WEIGHTS(alignment) _Alignas(alignment)
#endif

$definitions
/* A file must not be empty. */
typedef int ${name}_weights_end;
