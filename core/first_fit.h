// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "instance.h"

namespace thimble {

struct Placing {
  std::vector<Bytes> addresses;  // Per item; empty if some item found no place.
  Bytes height = kNowhere;       // Top of the highest item.
  std::string method;
};

// Places items in several orders, each at the lowest address that is free, and returns the lowest result. Stops at
// once when a height is not above `enough`. Items with a fixed offset go first.
Placing best_first_fit(const Instance& instance, const Space& space, Bytes enough);

// Stacks each buffer of `part` on the highest one below it, in O(n log n) and without an instance: for parts too
// large to list which buffers clash. Sound for every kind of constraint, but blind to gaps in time and in memory.
Placing stack_up(const Problem& problem, const DistanceMap& distances, const std::vector<int>& part,
                 const Space& space);

// Top of the highest item, or kNowhere without a placement.
Bytes height_of(const std::vector<Bytes>& sizes, const std::vector<Bytes>& addresses);

}  // namespace thimble
