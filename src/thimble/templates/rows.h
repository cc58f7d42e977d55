/* SPDX-License-Identifier: Apache-2.0 */
/* What begins an inference or goes on with it says when it stops: a row is wanted or ready, or all is done. Between two
 * rows it runs as much as can be run. */
$events

int ${name}_begin($parameter);
int ${name}_row_done($parameter); /* the row that was wanted is there, the one that was ready is not needed any more */
$declarations

/* The same with whole images in memory, which may be anywhere but in the arena. */
void ${name}_invoke($parameter, $images);
