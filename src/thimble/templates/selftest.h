/* SPDX-License-Identifier: Apache-2.0 */
/* Self-test of $name: known inputs, and the outputs that Thimble's reference computed for them. */
#ifndef THIMBLE_SELFTEST_${NAME}_H
#define THIMBLE_SELFTEST_${NAME}_H

#define ${NAME}_SELFTEST_CASES $cases

#ifdef __cplusplus
extern "C" {
#endif

/* Run all cases in ${name}_arena: 0 if every output is right, else 1 + the number of the first case that is not.
 * Integers must be equal, floats within 1e-4 of the largest expected value. What the network kept between inferences
 * is forgotten: call ${name}_init afterwards. */
int ${name}_selftest(void);

#ifdef __cplusplus
}
#endif
#endif
