// SPDX-License-Identifier: Apache-2.0
// Runs the network on known inputs, and says on the serial port whether its outputs are right.
#include <$name.h>
#include <${name}_selftest.h>

void setup() {
  Serial.begin(115200);
  while (!Serial) {
  }
  Serial.println(${name}_selftest() == 0 ? F("PASS $name") : F("FAIL $name"));
}

void loop() {}
