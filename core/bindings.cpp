// SPDX-License-Identifier: Apache-2.0
// The only file that knows Python: lists of integers in, lists of integers out, each status mapped to one outcome.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "dsa.h"
#include "greedy.h"
#include "load.h"
#include "order_search.h"
#include "pack.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using thimble::Bytes;
using thimble::Status;
using thimble::Time;
using Numbers = std::vector<std::int64_t>;

// Bad input is a ValueError and a sum out of range an OverflowError; everything else is a value.
void raise_unless_usable(Status status, const std::string& message) {
  if (status == Status::kBadInput) throw nb::value_error(message.c_str());
  if (status == Status::kOverflow) throw std::overflow_error(message);
}

Numbers tflm_greedy(const Numbers& sizes, const Numbers& first, const Numbers& last, const Numbers& offline) {
  thimble::GreedyPlan plan;
  {
    const nb::gil_scoped_release unlocked;
    plan = thimble::tflm_greedy(sizes, first, last, offline);
  }
  raise_unless_usable(plan.status, "tflm_greedy: lists of unequal length, or a size or offset out of range");
  return std::move(plan.offsets);
}

std::pair<Numbers, Numbers> live_sums(const Numbers& sizes, const Numbers& starts, const Numbers& stops) {
  thimble::LiveSums live;
  {
    const nb::gil_scoped_release unlocked;
    live = thimble::live_sums(sizes, starts, stops);
  }
  raise_unless_usable(live.status, "live_sums: lists of unequal length, or a size or sum out of range");
  return {std::move(live.times), std::move(live.sums)};
}

Bytes load_bound(const Numbers& sizes, const Numbers& starts, const Numbers& stops) {
  thimble::LoadBound bound;
  {
    const nb::gil_scoped_release unlocked;
    bound = thimble::load_bound(sizes, starts, stops);
  }
  raise_unless_usable(bound.status, "load_bound: lists of unequal length, or a size or sum out of range");
  return bound.bytes;
}

int narrow(std::int64_t number) {
  if (number < std::numeric_limits<int>::min() || number > std::numeric_limits<int>::max()) {
    throw nb::value_error("an index is out of range");
  }
  return static_cast<int>(number);
}

// Row i of a list of lists stored one after the other: items starts[i] to starts[i + 1].
std::vector<int> row(const Numbers& starts, const Numbers& items, std::size_t i) {
  const std::int64_t begin = starts.at(i);
  const std::int64_t end = starts.at(i + 1);
  if (begin < 0 || begin > end || end > static_cast<std::int64_t>(items.size())) {
    throw nb::value_error("order_search: starts must rise and stay within their list");
  }
  std::vector<int> result;
  for (std::int64_t k = begin; k < end; ++k) result.push_back(narrow(items[static_cast<std::size_t>(k)]));
  return result;
}

using Lists = std::pair<Numbers, Numbers>;  // Where each list starts, and one past the end; all items.

std::tuple<std::vector<int>, Bytes, Bytes, std::int64_t> order_search(const Numbers& scratch, const Numbers& sizes,
                                                                     const Numbers& producers, const Numbers& held,
                                                                     const Lists& readers, const Lists& before,
                                                                     std::int64_t budget) {
  if (producers.size() != sizes.size() || held.size() != sizes.size() || readers.first.size() != sizes.size() + 1 ||
      before.first.size() != scratch.size() + 1) {
    throw nb::value_error("order_search: lists of unequal length");
  }
  thimble::OrderProblem problem;
  problem.scratch = scratch;
  for (std::size_t t = 0; t < sizes.size(); ++t) {
    problem.tensors.push_back({sizes[t], narrow(producers[t]), held[t] != 0, row(readers.first, readers.second, t)});
  }
  for (std::size_t op = 0; op < scratch.size(); ++op) problem.before.push_back(row(before.first, before.second, op));
  thimble::OrderResult result;
  {
    const nb::gil_scoped_release unlocked;
    result = thimble::order_search(problem, budget);
  }
  raise_unless_usable(result.status, "order_search: " + result.message);
  return {std::move(result.order), result.peak, result.lower_bound, result.nodes};
}

using BufferRow = std::tuple<Bytes, Bytes, Time, Time, Bytes>;  // Size, alignment, start, stop, offset or -1.
using GapRow = std::tuple<int, Time, Time>;                     // Buffer, start, stop.
using DistanceRow = std::tuple<int, int, Bytes>;                // Early, late, least.

// Gaps and allowed arenas are rows that name their buffers by position.
thimble::Problem problem_from(const std::vector<BufferRow>& buffers, const std::vector<GapRow>& gaps,
                              const std::vector<std::pair<int, int>>& allowed, const Numbers& capacities,
                              const std::vector<DistanceRow>& distances) {
  thimble::Problem problem;
  problem.capacities = capacities;
  problem.buffers.reserve(buffers.size());
  for (const auto& [size, alignment, start, stop, offset] : buffers) {
    problem.buffers.push_back({size, alignment, {start, stop}, {}, offset, {}});
  }
  const auto owner = [&](int id) -> thimble::Buffer& {
    if (id < 0 || static_cast<std::size_t>(id) >= problem.buffers.size()) {
      throw nb::value_error("pack: a gap or an allowed arena names a buffer that does not exist");
    }
    return problem.buffers[static_cast<std::size_t>(id)];
  };
  for (const auto& [id, start, stop] : gaps) owner(id).gaps.push_back({start, stop});
  for (const auto& [id, arena] : allowed) owner(id).arenas.push_back(arena);
  for (const auto& [early, late, least] : distances) problem.distances.push_back({early, late, least});
  return problem;
}

thimble::Solution pack(const std::vector<BufferRow>& buffers, const std::vector<GapRow>& gaps,
                       const std::vector<std::pair<int, int>>& allowed, const Numbers& capacities,
                       const std::vector<DistanceRow>& distances, std::int64_t budget) {
  const thimble::Problem problem = problem_from(buffers, gaps, allowed, capacities, distances);
  thimble::Solution solution;
  {
    const nb::gil_scoped_release unlocked;
    solution = thimble::pack(problem, budget);
  }
  raise_unless_usable(solution.status, "pack: " + solution.message);
  return solution;
}

}  // namespace

NB_MODULE(_core, module) {
  module.doc() = "Native searches over orders and offsets; integers in, integers out.";
  module.def("tflm_greedy", &tflm_greedy, "sizes"_a, "first"_a, "last"_a, "offline"_a,
             "Offsets of TFLM's greedy planner; steps are inclusive, -1 in `offline` means to be planned.");
  module.def("live_sums", &live_sums, "sizes"_a, "starts"_a, "stops"_a,
             "Breakpoints and live sums of half-open lifetimes.");
  module.def("order_search", &order_search, "scratch"_a, "sizes"_a, "producers"_a, "held"_a, "readers"_a, "before"_a,
             "budget"_a, "An operator order of least peak: order, peak, proven lower bound, nodes.");
  nb::enum_<Status>(module, "Status")
      .value("SOLVED", Status::kSolved)
      .value("INFEASIBLE", Status::kInfeasible)
      .value("EXHAUSTED", Status::kExhausted);
  nb::class_<thimble::Solution>(module, "Packing")
      .def_ro("status", &thimble::Solution::status)
      .def_ro("offsets", &thimble::Solution::offsets)
      .def_ro("arenas", &thimble::Solution::arenas)
      .def_ro("height", &thimble::Solution::height)
      .def_ro("lower_bound", &thimble::Solution::lower_bound)
      .def_ro("nodes", &thimble::Solution::nodes)
      .def_ro("method", &thimble::Solution::method)
      .def_ro("witness", &thimble::Solution::witness)
      .def_ro("excess", &thimble::Solution::excess);
  module.def("pack", &pack, "buffers"_a, "gaps"_a, "allowed"_a, "capacities"_a, "distances"_a, "budget"_a,
             "Offsets of least height, or within the capacities (-1 for none); see core/pack.h.");
  module.def("load_bound", &load_bound, "sizes"_a, "starts"_a, "stops"_a, "The largest live sum.");
}
