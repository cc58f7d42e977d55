/* SPDX-License-Identifier: Apache-2.0 */
/* The arena of $name. Define THIMBLE_ARENA_SECTION to place it in a section of your linker script. */
#include "$name.h"

#if defined(THIMBLE_ARENA_SECTION)
__attribute__((section(THIMBLE_ARENA_SECTION)))
#endif
_Alignas(${NAME}_ARENA_ALIGNMENT) uint8_t ${name}_arena[${NAME}_ARENA_BYTES];
