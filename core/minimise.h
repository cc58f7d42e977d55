// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "first_fit.h"
#include "instance.h"

namespace thimble {

struct Bracket {
  Placing best;             // The lowest placement found.
  Bytes lower_bound = 0;    // No placement is lower than this.
  std::int64_t nodes = 0;
};

// Narrows the gap between `start` and `lower_bound` in one arena until the height is not above `enough`, the bound
// is met, or `budget` nodes are spent.
Bracket minimise(const Instance& instance, Placing start, Bytes lower_bound, Bytes enough, std::int64_t budget);

}  // namespace thimble
