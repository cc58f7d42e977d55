// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dsa.h"

namespace thimble {

// What is wrong with a problem in itself (negative sizes, unknown arenas, ...), or an empty string.
std::string complaint(const Problem& problem);

// Bytes that buffers can reach at most when those of each of `parts` are stacked; kMaxBytes + 1 if beyond the range
// of offsets.
Bytes reach(const Problem& problem, const std::vector<std::vector<int>>& parts);

// The greatest divisor of all sizes, alignments above 1, fixed offsets and distances: addresses that matter are
// multiples of it. 1 if there is nothing to divide.
Bytes grain(const Problem& problem);

// The same problem in units of `unit` bytes.
Problem in_units(Problem problem, Bytes unit);

}  // namespace thimble
