// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "dsa.h"

namespace thimble {

struct GreedyPlan {
  Status status = Status::kSolved;  // kSolved, kOverflow or kBadInput.
  std::vector<Bytes> offsets;
};

// Places buffers exactly as TFLM's GreedyMemoryPlanner does. Steps `first` and `last` are both inclusive, as TFLM
// counts them. `offline` holds -1 for buffers to be planned, otherwise an offset that is taken as it is (even where
// it clashes).
GreedyPlan tflm_greedy(const std::vector<Bytes>& sizes, const std::vector<Time>& first, const std::vector<Time>& last,
                       const std::vector<Bytes>& offline);

}  // namespace thimble
