/* SPDX-License-Identifier: Apache-2.0 */
static int run($parameter) {
  ${name}_position *const at = position($argument);
$parts
  return ${NAME}_COMPLETE;
}

int ${name}_begin($parameter) {
  const ${name}_position start = {0, 0, 0};
  *position($argument) = start;
  return run($argument);
}

int ${name}_row_done($parameter) {
  return run($argument);
}

$rows
void ${name}_invoke($parameter, $images) {
$feeding
}
