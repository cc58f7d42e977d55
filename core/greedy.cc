// SPDX-License-Identifier: Apache-2.0
// What users of TFLM get today: largest buffer first, each into the lowest gap that is wide enough.
//
// Three details of TFLM decide the result to the byte. Buffers with an offline offset come first, in the order they
// were added, never sorted. The others are listed from the tail, so that buffers of equal size are placed in reverse
// order of addition. And placed buffers are scanned by offset, later ones after earlier ones at the same offset.
// Source: tflite-micro, memory_planner/greedy_memory_planner.cc (CalculateOffsetsIfNeeded).
#include "greedy.h"

#include <algorithm>
#include <cstddef>

#include "overlap.h"

namespace thimble {
namespace {

struct Placed {
  Bytes offset;
  int rank;  // Position in the order of placement.
  Bytes size;
};

std::vector<int> placement_order(const std::vector<Bytes>& sizes, const std::vector<Bytes>& offline) {
  std::vector<int> order;
  std::vector<int> online;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    (offline[i] == kNone ? online : order).push_back(static_cast<int>(i));
  }
  std::reverse(online.begin(), online.end());
  std::stable_sort(online.begin(), online.end(), [&](int a, int b) {
    return sizes[static_cast<std::size_t>(a)] > sizes[static_cast<std::size_t>(b)];
  });
  order.insert(order.end(), online.begin(), online.end());
  return order;
}

// The lowest offset with `size` free bytes above it, scanning the neighbours upwards.
Bytes first_gap(std::vector<Placed>& neighbours, Bytes size) {
  std::sort(neighbours.begin(), neighbours.end(), [](const Placed& a, const Placed& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.rank < b.rank;
  });
  Bytes candidate = 0;
  for (const Placed& next : neighbours) {
    if (next.offset - candidate >= size) break;
    candidate = std::max(candidate, next.offset + next.size);
  }
  return candidate;
}

bool in_range(const std::vector<Bytes>& sizes, const std::vector<Bytes>& offline) {
  const auto size_ok = [](Bytes size) { return size >= 0 && size <= kMaxBytes; };
  const auto offset_ok = [](Bytes offset) { return offset >= kNone && offset <= kMaxBytes; };
  return std::all_of(sizes.begin(), sizes.end(), size_ok) && std::all_of(offline.begin(), offline.end(), offset_ok);
}

}  // namespace

GreedyPlan tflm_greedy(const std::vector<Bytes>& sizes, const std::vector<Time>& first, const std::vector<Time>& last,
                       const std::vector<Bytes>& offline) {
  const std::size_t count = sizes.size();
  if (first.size() != count || last.size() != count || offline.size() != count || !in_range(sizes, offline)) {
    return {Status::kBadInput, {}};
  }
  const OverlapIndex index(first, last);
  GreedyPlan plan{Status::kSolved, std::vector<Bytes>(count, kNone)};
  std::vector<int> rank(count, -1);
  std::vector<Placed> neighbours;
  int next_rank = 0;
  for (const int id : placement_order(sizes, offline)) {
    const auto i = static_cast<std::size_t>(id);
    if (offline[i] != kNone) {
      plan.offsets[i] = offline[i];
    } else {
      neighbours.clear();
      index.each(first[i], last[i], [&](int other) {
        const auto o = static_cast<std::size_t>(other);
        if (rank[o] >= 0) neighbours.push_back({plan.offsets[o], rank[o], sizes[o]});
      });
      plan.offsets[i] = first_gap(neighbours, sizes[i]);
      if (plan.offsets[i] > kMaxBytes - sizes[i]) return {Status::kOverflow, {}};
    }
    rank[i] = next_rank++;
  }
  return plan;
}

}  // namespace thimble
