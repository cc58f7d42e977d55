// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dsa.h"

namespace thimble {

// Dynamic storage allocation. Without a capacity: the least height of the one arena, with its lower bound. With a
// capacity: any placement within it, or kInfeasible with a witness. Several arenas: any placement within all of them
// (`height` is then the sum of their heights). The searches visit at most `budget` nodes in all, and 16 more per
// buffer; none if it is 0. When they run out, one arena still gets the lowest placement found (its height may exceed
// the capacity), several get kExhausted.
Solution pack(const Problem& problem, std::int64_t budget);

// The same without a witness.
Solution decide(const Problem& problem, std::int64_t budget);

}  // namespace thimble
