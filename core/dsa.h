// SPDX-License-Identifier: Apache-2.0
// Dynamic storage allocation, as values: plain structs of integers that mirror thimble/memory.py.
//
// Time counts schedule steps; a lifetime is half-open, [start, stop). Offsets are bytes from an arena's start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace thimble {

using Bytes = std::int64_t;
using Time = std::int64_t;

// Sizes, alignments, offsets and capacities stay within this, so that the sum of two never overflows.
inline constexpr Bytes kMaxBytes = (Bytes{1} << 62) - 1;
// Stands for "no fixed offset" and for "no capacity".
inline constexpr Bytes kNone = -1;

struct Interval {
  Time start = 0;
  Time stop = 0;

  [[nodiscard]] bool empty() const { return start >= stop; }
  [[nodiscard]] bool overlaps(const Interval& other) const { return start < other.stop && other.start < stop; }
};

struct Buffer {
  Bytes size = 0;
  Bytes alignment = 1;
  Interval lifetime;
  std::vector<Interval> gaps;  // Idle parts of the lifetime.
  Bytes offset = kNone;        // Fixed place, or kNone.
  std::vector<int> arenas;     // Allowed arenas; empty for all.
};

// The start of `late` is at least `least` bytes above the start of `early`, or `late` ends at or before it.
struct Distance {
  int early = 0;
  int late = 0;
  Bytes least = 0;
};

struct Problem {
  std::vector<Buffer> buffers;
  std::vector<Bytes> capacities{kNone};  // One per arena.
  std::vector<Distance> distances;
};

enum class Status {
  kSolved,      // `offsets` and `arenas` hold a valid placement.
  kInfeasible,  // No placement meets the capacities; `witness` says why.
  kExhausted,   // The budget ran out before a placement within the capacities, or a proof, was found.
  kOverflow,    // Some sum of sizes leaves the range of offsets.
  kBadInput,    // `message` says what is wrong.
};

struct Solution {
  Status status = Status::kSolved;
  std::vector<Bytes> offsets;
  std::vector<int> arenas;
  Bytes height = 0;
  Bytes lower_bound = 0;
  std::int64_t nodes = 0;
  std::string method;
  std::vector<int> witness;  // Buffers that clash, ascending.
  Bytes excess = 0;          // By how many bytes the witness misses the capacity, at least.
  std::string message;
};

}  // namespace thimble
