// SPDX-License-Identifier: Apache-2.0
// Runs the network once.
#include <$name.h>

void setup() {
  ${name}_init(${name}_arena);
$inference
}

void loop() {}
