// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dsa.h"

namespace thimble {

// The live sum as a step function: `sums[i]` bytes are live during [times[i], times[i + 1]); the last sum is 0.
struct LiveSums {
  Status status = Status::kSolved;  // kSolved, kOverflow or kBadInput.
  std::vector<Time> times;
  std::vector<Bytes> sums;
};

// Sums the sizes live at each step, in O(n log n). Empty lifetimes count nothing.
LiveSums live_sums(const std::vector<Bytes>& sizes, const std::vector<Time>& starts, const std::vector<Time>& stops);

// The largest live sum: no placement can be lower.
struct LoadBound {
  Status status = Status::kSolved;
  Bytes bytes = 0;
};

LoadBound load_bound(const std::vector<Bytes>& sizes, const std::vector<Time>& starts, const std::vector<Time>& stops);

}  // namespace thimble
