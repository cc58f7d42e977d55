// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "instance.h"

namespace thimble {

// Buffers that are live throughout several parts, stacked from `base` upwards on the ground `below` (or -1).
struct Ground {
  std::vector<int> ids;
  int below = -1;
  Bytes base = 0;
};

// Buffers that can be placed without regard to all others, from `base` upwards on the ground `below` (or -1).
struct Piece {
  std::vector<int> ids;  // Ascending.
  int below = -1;
  Bytes base = 0;
};

struct Division {
  std::vector<Piece> parts;
  std::vector<Ground> grounds;
};

// Splits a problem into independent parts. Within a part, a buffer that is live all the time may as well lie at the
// bottom (what was below it moves up by its size), and what remains may fall apart again.
Division divide(const Problem& problem);

}  // namespace thimble
