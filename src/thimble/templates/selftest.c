/* SPDX-License-Identifier: Apache-2.0 */
/* Self-test of $name. The inputs are made up by thimble/selftest.h, so that they take no memory. */
#include "${name}_selftest.h"

#include "$name.h"
#include "thimble/selftest.h"

#if defined(THIMBLE_WEIGHTS_SECTION)
#define THIMBLE_EXPECTED THIMBLE_SECTION(THIMBLE_WEIGHTS_SECTION)
#else
#define THIMBLE_EXPECTED
#endif

$expected
static void fill(uint32_t number) {
$fills
}

static int differs(uint32_t number) {
$checks
  return 0;
}

${rows}int ${name}_selftest(void) {
$clear
  ${name}_init(${name}_arena);
  for (uint32_t number = 0; number < ${NAME}_SELFTEST_CASES; number++) {
    fill(number);
$run
    if (differs(number)) {
      return (int)number + 1;
    }
  }
  return 0;
}
