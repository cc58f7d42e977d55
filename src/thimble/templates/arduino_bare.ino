// SPDX-License-Identifier: Apache-2.0
// Runs the network once.
#include <$name.h>

void setup() {
  ${name}_init(${name}_arena);
  ${name}_invoke(${name}_arena);
}

void loop() {}
