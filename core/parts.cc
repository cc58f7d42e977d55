// SPDX-License-Identifier: Apache-2.0
#include "parts.h"

#include <algorithm>
#include <utility>

namespace thimble {
namespace {

// Moving buffers up by a common multiple of all alignments must be allowed.
bool can_lower(const Problem& problem, const std::vector<int>& ids, Bytes& multiple) {
  if (problem.capacities.size() != 1 || !problem.distances.empty()) return false;
  multiple = 1;
  for (const int id : ids) multiple = std::max(multiple, problem.buffers[idx(id)].alignment);
  return std::all_of(ids.begin(), ids.end(), [&](int id) {
    const Buffer& buffer = problem.buffers[idx(id)];
    return buffer.offset == kNone && multiple % buffer.alignment == 0;
  });
}

Interval hull(const Problem& problem, const std::vector<int>& ids) {
  Interval all = problem.buffers[idx(ids.front())].lifetime;
  for (const int id : ids) {
    all.start = std::min(all.start, problem.buffers[idx(id)].lifetime.start);
    all.stop = std::max(all.stop, problem.buffers[idx(id)].lifetime.stop);
  }
  return all;
}

// The buffers of `ids` taken as a problem of their own, split by time.
std::vector<std::vector<int>> components(const Problem& problem, const std::vector<int>& ids) {
  Problem rest;
  for (const int id : ids) {
    const Buffer& buffer = problem.buffers[idx(id)];
    rest.buffers.push_back({buffer.size, 1, buffer.lifetime, {}, kNone, {}});
  }
  std::vector<std::vector<int>> parts = time_components(rest);
  for (auto& part : parts) {
    for (int& id : part) id = ids[idx(id)];
  }
  return parts;
}

// Moves buffers that live throughout into the ground; true if something is left to split again.
bool settle_ground(const Problem& problem, Part& part) {
  Bytes multiple = 1;
  if (part.ids.size() < 2 || !can_lower(problem, part.ids, multiple)) return false;
  const Interval all = hull(problem, part.ids);
  std::vector<int> rest;
  for (const int id : part.ids) {
    const Buffer& buffer = problem.buffers[idx(id)];
    const bool throughout = buffer.lifetime.start == all.start && buffer.lifetime.stop == all.stop;
    if (throughout && buffer.gaps.empty() && buffer.size > 0 && buffer.size % multiple == 0) {
      part.ground.push_back(id);
      part.base += buffer.size;
    } else {
      rest.push_back(id);
    }
  }
  const bool changed = rest.size() < part.ids.size();
  if (rest.empty()) {
    // One buffer stays, so that no part is empty.
    rest.push_back(part.ground.back());
    part.base -= problem.buffers[idx(part.ground.back())].size;
    part.ground.pop_back();
  }
  part.ids = std::move(rest);
  return changed && part.ids.size() > 1;
}

}  // namespace

std::vector<Part> split(const Problem& problem) {
  std::vector<Part> done;
  std::vector<Part> open;
  for (auto& ids : time_components(problem)) open.push_back({std::move(ids), {}, 0});
  std::reverse(open.begin(), open.end());
  while (!open.empty()) {
    Part part = std::move(open.back());
    open.pop_back();
    if (!settle_ground(problem, part)) {
      done.push_back(std::move(part));
      continue;
    }
    auto pieces = components(problem, part.ids);
    std::reverse(pieces.begin(), pieces.end());
    for (auto& ids : pieces) open.push_back({std::move(ids), part.ground, part.base});
  }
  return done;
}

}  // namespace thimble
