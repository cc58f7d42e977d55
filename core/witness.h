// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "dsa.h"

namespace thimble {

struct Witness {
  std::vector<int> buffers;  // Ascending.
  Bytes excess = 0;          // At least so many bytes are missing.
};

// Reduces `candidates`, buffers that cannot be placed together, to a set of which each buffer is needed: without any
// one of them the others fit. The trials together visit about `budget` nodes; without an answer a buffer is kept.
Witness irreducible(const Problem& problem, std::vector<int> candidates, std::int64_t budget);

}  // namespace thimble
