/* SPDX-License-Identifier: Apache-2.0 */
/* The arenas of $name, in the sections of $name.ld. */
#include "$name.h"
$place
$definitions
