// SPDX-License-Identifier: Apache-2.0
// One independent part of a problem in the form that the searches work on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "dsa.h"

namespace thimble {

inline constexpr Bytes kNowhere = std::numeric_limits<Bytes>::max();

inline std::size_t idx(int i) { return static_cast<std::size_t>(i); }

// Rows of integers in one block of memory.
struct Rows {
  std::vector<std::size_t> begin{0};
  std::vector<int> values;

  [[nodiscard]] std::span<const int> row(int i) const {
    return {values.data() + begin[idx(i)], begin[idx(i) + 1] - begin[idx(i)]};
  }
  [[nodiscard]] int size() const { return static_cast<int>(begin.size()) - 1; }
  void end_row() { begin.push_back(values.size()); }
};

// The arenas side by side in one address space; a buffer lies within one segment. With one arena, addresses are
// offsets.
struct Segment {
  Bytes low = 0;
  Bytes high = kMaxBytes;
};
using Space = std::vector<Segment>;

// Addresses strictly between `low` and `high` clash with a fixed neighbour.
struct Hole {
  Bytes low;
  Bytes high;
};

// Buffers as items 0..n-1. Two items clash if they share a section, a maximal set of buffers live at one step.
struct Instance {
  std::vector<int> ids;  // Item -> buffer of the problem.
  std::vector<Bytes> size;
  std::vector<Bytes> alignment;
  std::vector<Bytes> fixed;  // Fixed offset in its arena, or kNone.
  std::vector<std::vector<int>> arenas;
  std::vector<std::vector<Hole>> holes;
  std::vector<Bytes> step;    // Least distance from an item to any item above it.
  Rows sections;              // Section -> items, ascending.
  Rows spans;                 // Item -> sections, ascending.
  Rows neighbours;            // Item -> items that clash with it, ascending.
  std::vector<Bytes> above;   // Per entry of `neighbours`: least distance of the neighbour above the item...
  std::vector<Bytes> below;   // ... and of the item above the neighbour. Both empty if `step` says it all.
  std::vector<Bytes> pad;     // Per section: largest step - size; the topmost item needs its size only.
  std::vector<int> twin;      // The next item that is equal in all but its name, or -1.
  bool has_zero_steps = false;
  bool is_partial = false;    // Too many clashes to list them.

  [[nodiscard]] int count() const { return static_cast<int>(ids.size()); }
  [[nodiscard]] std::size_t edge(int item, std::size_t position) const {
    return neighbours.begin[idx(item)] + position;
  }
  // Least distance of the start of a neighbour above the start of `item`, for an edge of `item`.
  [[nodiscard]] Bytes up(int item, std::size_t edge_index) const {
    return above.empty() ? step[idx(item)] : above[edge_index];
  }
  // Least distance of the start of `item` above that of `neighbour`.
  [[nodiscard]] Bytes down(int neighbour, std::size_t edge_index) const {
    return below.empty() ? step[idx(neighbour)] : below[edge_index];
  }
  // The lowest allowed address of `item` that is not below `address`, or kNowhere.
  [[nodiscard]] Bytes lift(int item, Bytes address, const Space& space) const;
};

// Distances of a problem by buffer, for quick look-up.
struct DistanceMap {
  std::vector<std::vector<Distance>> by_early;
  explicit DistanceMap(const Problem& problem);
  // The least distance of `late` above `early` or, without an entry, the size of `early`.
  [[nodiscard]] Bytes least(const Problem& problem, int early, int late) const;
  // The smallest of the size of `early` and its distances.
  [[nodiscard]] Bytes smallest(const Problem& problem, int early) const;
};

// Parts that never meet in time, each a list of buffers in ascending order. Buffers without bytes or without a step
// at which they are in use are parts of their own.
std::vector<std::vector<int>> time_components(const Problem& problem);

// Work needed to build an instance: items of all sections together.
std::int64_t section_entries(const Problem& problem, const std::vector<int>& part);

// With more than `max_clashes` clashing pairs (counted both ways), `neighbours` and what builds on it stay empty.
Instance build_instance(const Problem& problem, const DistanceMap& distances, std::vector<int> part,
                        std::int64_t max_clashes);

// The largest sum of steps over the sections: no placement of the instance can be lower.
Bytes stack_bound(const Instance& instance);

}  // namespace thimble
