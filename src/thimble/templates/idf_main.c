/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the network on known inputs, and says whether its outputs are right. */
#include <stdio.h>

#include "${name}_selftest.h"

void app_main(void);

void app_main(void) { puts(${name}_selftest() == 0 ? "PASS $name" : "FAIL $name"); }
