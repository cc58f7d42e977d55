// SPDX-License-Identifier: Apache-2.0
#include "witness.h"

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <utility>

#include "instance.h"
#include "load.h"
#include "pack.h"

namespace thimble {
namespace {

// Trials cost a search each: larger sets are reduced by their load only.
constexpr std::size_t kMaxCandidates = 4000;
constexpr std::int64_t kTrialBudget = 20'000;

Problem subset(const Problem& problem, const std::vector<int>& ids) {
  Problem part;
  part.capacities = problem.capacities;
  std::unordered_map<int, int> position;
  for (const int id : ids) {
    position[id] = static_cast<int>(part.buffers.size());
    part.buffers.push_back(problem.buffers[idx(id)]);
  }
  for (const Distance& distance : problem.distances) {
    const auto early = position.find(distance.early);
    const auto late = position.find(distance.late);
    if (early == position.end() || late == position.end()) continue;
    part.distances.push_back({early->second, late->second, distance.least});
  }
  return part;
}

// Takes the nodes that it visits from `budget`.
bool is_refuted(const Problem& problem, const std::vector<int>& ids, std::int64_t& budget) {
  if (ids.empty()) return false;
  const Solution solution = decide(subset(problem, ids), std::min(budget, kTrialBudget));
  budget = std::max<std::int64_t>(0, budget - solution.nodes);
  return solution.status == Status::kInfeasible;
}

// The step with the largest live sum.
Time busiest_step(const Problem& problem, const std::vector<int>& ids) {
  std::vector<Bytes> sizes;
  std::vector<Time> starts;
  std::vector<Time> stops;
  for (const int id : ids) {
    const Buffer& buffer = problem.buffers[idx(id)];
    sizes.push_back(buffer.size);
    starts.push_back(buffer.lifetime.start);
    stops.push_back(buffer.lifetime.stop);
  }
  const LiveSums live = live_sums(sizes, starts, stops);
  const auto most = std::max_element(live.sums.begin(), live.sums.end());
  return most == live.sums.end() ? 0 : live.times[static_cast<std::size_t>(most - live.sums.begin())];
}

bool is_live(const Buffer& buffer, Time step) {
  if (step < buffer.lifetime.start || step >= buffer.lifetime.stop) return false;
  return std::none_of(buffer.gaps.begin(), buffer.gaps.end(),
                      [&](const Interval& gap) { return gap.start <= step && step < gap.stop; });
}

// The largest buffers of one step that alone exceed the capacity, if there are such.
std::vector<int> overload(const Problem& problem, const std::vector<int>& ids) {
  if (problem.capacities.size() != 1 || problem.capacities[0] == kNone || !problem.distances.empty()) return {};
  const Time step = busiest_step(problem, ids);
  std::vector<int> live;
  for (const int id : ids) {
    if (is_live(problem.buffers[idx(id)], step)) live.push_back(id);
  }
  std::stable_sort(live.begin(), live.end(),
                   [&](int a, int b) { return problem.buffers[idx(a)].size > problem.buffers[idx(b)].size; });
  Bytes sum = 0;
  for (std::size_t i = 0; i < live.size(); ++i) {
    const Bytes size = problem.buffers[idx(live[i])].size;
    if (size > problem.capacities[0] - sum) {
      live.resize(i + 1);
      return live;
    }
    sum += size;
  }
  return {};
}

// By how much two fixed buffers overlap, at most.
Bytes fixed_overlap(const Problem& problem, const std::vector<int>& ids) {
  Bytes most = 1;
  for (std::size_t i = 1; i < ids.size(); ++i) {
    const Buffer& a = problem.buffers[idx(ids[i - 1])];
    const Buffer& b = problem.buffers[idx(ids[i])];
    if (a.offset == kNone || b.offset == kNone) continue;
    most = std::max(most, std::min(a.offset + a.size, b.offset + b.size) - std::max(a.offset, b.offset));
  }
  return most;
}

Bytes excess_of(const Problem& problem, const std::vector<int>& ids, std::int64_t budget) {
  if (problem.capacities.size() != 1) return 1;
  Problem part = subset(problem, ids);
  part.capacities = {kNone};
  const Solution solution = decide(part, budget);
  if (solution.status == Status::kInfeasible) return fixed_overlap(problem, ids);
  return std::max<Bytes>(1, solution.lower_bound - problem.capacities[0]);
}

// Drops whole runs of candidates first, then single ones.
std::vector<int> reduce(const Problem& problem, std::vector<int> ids, std::int64_t budget) {
  for (std::size_t chunk = std::max<std::size_t>(1, ids.size() / 2);; chunk /= 2) {
    for (std::size_t i = 0; i < ids.size();) {
      std::vector<int> rest(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(i));
      rest.insert(rest.end(), ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), i + chunk)), ids.end());
      if (is_refuted(problem, rest, budget)) {
        ids = std::move(rest);
      } else {
        i += chunk;
      }
    }
    if (chunk == 1) return ids;
  }
}

}  // namespace

Witness irreducible(const Problem& problem, std::vector<int> candidates, std::int64_t budget) {
  if (std::vector<int> live = overload(problem, candidates); !live.empty()) candidates = std::move(live);
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](int a, int b) { return problem.buffers[idx(a)].size < problem.buffers[idx(b)].size; });
  if (candidates.size() <= kMaxCandidates) candidates = reduce(problem, std::move(candidates), budget);
  std::sort(candidates.begin(), candidates.end());
  const Bytes excess = excess_of(problem, candidates, std::min(budget, kTrialBudget));
  return {std::move(candidates), excess};
}

}  // namespace thimble
