// SPDX-License-Identifier: Apache-2.0
// What the stages of the order search hand to each other.
//
//   problem --split at forced operators--> Part --contract--> Part of fewer units --bound, search--> order of the part
#pragma once

#include <cstdint>
#include <vector>

#include "order_search.h"

namespace thimble::order {

// A stretch of a unit's work: rises by `hill` above the live sum at its start, then leaves it changed by `delta`.
// Each tensor in `reads` is freed at the end of the phase as well, if no other unit still has to read it.
struct Phase {
  Bytes hill = 0;
  Bytes delta = 0;
  std::vector<int> reads;
};

// Operators that run one after the other with nothing between them.
struct Unit {
  std::vector<int> ops;
  std::vector<Phase> phases;
  std::vector<int> preds;
  std::vector<int> succs;
};

// `readers` are units; a unit that some other reader depends on is left out, it is never the last one.
struct Tensor {
  Bytes size = 0;
  int producer = -1;  // Unit, or -1: lives when the part begins.
  bool outlives = false;
  std::vector<int> readers;
};

// A part of the graph that can be ordered on its own. Units are numbered in a valid order. `base` is the live sum
// when the part begins, everything included, so that sums of different parts can be compared.
struct Part {
  Bytes base = 0;
  std::vector<Unit> units;
  std::vector<Tensor> tensors;
};

// The problem with its lists turned around, dead results counted as scratch, and what the shipped order needs.
struct Facts {
  std::vector<Bytes> scratch;
  std::vector<std::vector<int>> preds;
  std::vector<std::vector<int>> succs;
  std::vector<std::vector<int>> reads;   // Tensors per operator, each once; without tensors of no bytes.
  std::vector<std::vector<int>> writes;  // Likewise, without dead results.
  std::vector<int> last_reader;          // Per tensor, -1 for none.
  Bytes first_extra = 0;                 // Bytes of the inputs that nobody reads: they live in the first step.
  std::vector<Bytes> live;               // Before each operator of the shipped order.
  std::vector<Bytes> needs;              // At each operator of the shipped order, without first_extra.
};

Facts gather(const OrderProblem& problem);

// Ends (exclusive) of the stretches of the shipped order that no order can mix, in ascending order.
std::vector<int> forced_ends(const Facts& facts);

// The operators [begin, end) as a part; they must be such a stretch.
Part make_part(const OrderProblem& problem, const Facts& facts, int begin, int end);

// Joins units that some best order runs one after the other.
Part contract(Part part);

// Fixes the order among chains of units that cannot be told apart.
Part order_twins(Part part);

// A lower bound on the peak of the part: at some unit, the least live sum that any order can bring it to. Stops early
// when the result cannot exceed `enough`.
Bytes cut_bound(const Part& part, Bytes enough);

// The way in which a walk takes a part: from its beginning, or from its end. From the end, units are taken away after
// all that follows them; every need and live sum means the same, and so does every argument about cuts.
enum class Way { kForward, kBackward };

struct Found {
  std::vector<int> units;  // An order of the part's units; empty when none below the ceiling was found.
  Bytes peak = 0;          // Of that order, or the ceiling.
  Bytes lower_bound = 0;   // No order has a smaller peak, unless that is below the floor.
  std::int64_t nodes = 0;
  bool proven = false;     // The search came to its end.
};

// Live sum when the part ends.
Bytes final_live(const Part& part);

// One exact search for an order with a peak below `ceiling`; any peak up to `floor` is as good as any other. Finds the
// best there is, or that there is none, or runs out of `budget` sets to expand.
Found search(const Part& part, Way way, Bytes floor, Bytes ceiling, std::int64_t budget);

// The same by all means there are: from both ends, and with dives for good orders.
Found order_part(const Part& part, Bytes floor, Bytes ceiling, std::int64_t budget);

}  // namespace thimble::order
