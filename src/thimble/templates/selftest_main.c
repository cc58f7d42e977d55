/* SPDX-License-Identifier: Apache-2.0 */
/* The self-test as a program: prints PASS or FAIL, and returns 0 or 1. */
#include <stdio.h>

#include "${name}_selftest.h"

int main(void) {
  const int failed = ${name}_selftest();
  if (failed) {
    printf("FAIL $name: case %d of %d\n", failed, ${NAME}_SELFTEST_CASES);
    return 1;
  }
  printf("PASS $name: %d cases\n", ${NAME}_SELFTEST_CASES);
  return 0;
}
