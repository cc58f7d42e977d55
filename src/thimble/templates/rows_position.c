/* SPDX-License-Identifier: Apache-2.0 */
/* Where an inference stands, in the arena: which part of it comes next, which turn of that, and the row that was
 * handed over last. */
typedef struct {
  int32_t part, turn, row;
} ${name}_position;

static ${name}_position *position($parameter) {
  return (${name}_position *)(void *)($position);
}
