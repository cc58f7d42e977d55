// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dsa.h"

namespace thimble {

// What is wrong with a problem in itself (negative sizes, unknown arenas, ...), or an empty string.
std::string complaint(const Problem& problem);

// Bytes that the buffers of `part` can reach at most when stacked; kMaxBytes + 1 if beyond the range of offsets.
Bytes reach(const Problem& problem, const std::vector<int>& part);

// The greatest divisor of all sizes, alignments above 1, fixed offsets and distances: addresses that matter are
// multiples of it. 1 if there is nothing to divide.
Bytes grain(const Problem& problem);

// The same problem in units of `unit` bytes.
Problem in_units(Problem problem, Bytes unit);

}  // namespace thimble
