// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "instance.h"

namespace thimble {

// Buffers that can be placed without regard to all others, once those in `ground` lie below them.
struct Part {
  std::vector<int> ids;     // Ascending.
  std::vector<int> ground;  // Buffers live throughout, stacked from the bottom in this order.
  Bytes base = 0;           // Height of the ground.
};

// Splits a problem into independent parts. Within a part, a buffer that is live all the time may as well lie at the
// bottom (what was below it moves up by its size), and what remains may fall apart again.
std::vector<Part> split(const Problem& problem);

}  // namespace thimble
