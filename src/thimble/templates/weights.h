/* SPDX-License-Identifier: Apache-2.0 */
/* Constants of $name, private to its sources. */
#ifndef THIMBLE_WEIGHTS_${NAME}_H
#define THIMBLE_WEIGHTS_${NAME}_H

#include "thimble/base.h"

$declarations

#endif
