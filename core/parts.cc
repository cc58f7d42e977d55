// SPDX-License-Identifier: Apache-2.0
#include "parts.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace thimble {
namespace {

// Lifetimes nested deeper than this are left to the search, so that the cost stays near-linear.
constexpr int kMaxRounds = 64;

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
    rest.buffers.push_back({buffer.size, 1, buffer.lifetime, buffer.gaps, kNone, {}});
  }
  std::vector<std::vector<int>> parts = time_components(rest);
  for (auto& part : parts) {
    for (int& id : part) id = ids[idx(id)];
  }
  return parts;
}

// The buffers of a part that may go into the ground: those live throughout, but never all of them.
std::vector<int> settled(const Problem& problem, const Piece& part) {
  Bytes multiple = 1;
  if (part.ids.size() < 2 || !can_lower(problem, part.ids, multiple)) return {};
  const Interval all = hull(problem, part.ids);
  std::vector<int> result;
  for (const int id : part.ids) {
    const Buffer& buffer = problem.buffers[idx(id)];
    const bool throughout = buffer.lifetime.start == all.start && buffer.lifetime.stop == all.stop;
    if (throughout && buffer.gaps.empty() && buffer.size > 0 && buffer.size % multiple == 0) result.push_back(id);
  }
  if (result.size() == part.ids.size()) result.pop_back();
  return result;
}

std::vector<int> without(const std::vector<int>& ids, const std::vector<int>& gone) {
  std::vector<int> rest;
  std::set_difference(ids.begin(), ids.end(), gone.begin(), gone.end(), std::back_inserter(rest));
  return rest;
}

// Splits parts on until nothing more settles; the parts of one round lie on the grounds of that round.
std::vector<Piece> settle_once(const Problem& problem, std::vector<Piece> open, Division& division) {
  std::vector<Piece> next;
  for (Piece& part : open) {
    std::vector<int> gone = settled(problem, part);
    if (gone.empty()) {
      division.parts.push_back(std::move(part));
      continue;
    }
    Bytes top = part.base;
    for (const int id : gone) top += problem.buffers[idx(id)].size;
    auto pieces = components(problem, without(part.ids, gone));
    division.grounds.push_back({std::move(gone), part.below, part.base});
    const auto ground = static_cast<int>(division.grounds.size()) - 1;
    for (auto& ids : pieces) next.push_back({std::move(ids), ground, top});
  }
  return next;
}

}  // namespace

Division divide(const Problem& problem) {
  Division division;
  std::vector<Piece> open;
  for (auto& ids : time_components(problem)) open.push_back({std::move(ids), -1, 0});
  for (int round = 0; round < kMaxRounds && !open.empty(); ++round) {
    open = settle_once(problem, std::move(open), division);
  }
  for (Piece& part : open) division.parts.push_back(std::move(part));
  return division;
}

}  // namespace thimble
