// SPDX-License-Identifier: Apache-2.0
// Operator orders of least peak: the order of a graph's operators in which the largest live sum is smallest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dsa.h"

namespace thimble {

// A tensor lives from its producer (from the start: producer -1) to its last reader, or to the end when `held`.
// A result without readers lives while its producer runs, an input without readers during the first step.
struct OrderTensor {
  Bytes size = 0;
  int producer = -1;
  bool held = false;
  std::vector<int> readers;
};

// Operators are 0 .. n-1 and listed in a valid order, the shipped one: whatever one needs has a smaller number.
struct OrderProblem {
  std::vector<Bytes> scratch;            // Per operator: bytes that it needs only while it runs.
  std::vector<OrderTensor> tensors;
  std::vector<std::vector<int>> before;  // Per operator: further operators that must run before it.
};

struct OrderResult {
  Status status = Status::kSolved;  // kSolved: proven; kExhausted: the budget ran out; kOverflow, kBadInput.
  std::vector<int> order;           // The shipped order itself whenever it has the peak below.
  Bytes peak = 0;
  Bytes lower_bound = 0;
  std::int64_t nodes = 0;
  std::string message;
};

// Finds an order of least peak. `budget` counts the search states that are expanded; when they run out the result is
// the best order found, with the bound that was proven until then. Deterministic. Memory stays below about 2 GB.
OrderResult order_search(const OrderProblem& problem, std::int64_t budget);

// Peak of one order, by plain simulation. The order must be a permutation that keeps the dependencies.
Bytes order_peak(const OrderProblem& problem, const std::vector<int>& order);

}  // namespace thimble
