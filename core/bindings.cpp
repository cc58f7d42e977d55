// SPDX-License-Identifier: Apache-2.0
// The only file that knows Python: lists of integers in, lists of integers out, each status mapped to one outcome.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dsa.h"
#include "greedy.h"
#include "load.h"

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

}  // namespace

NB_MODULE(_core, module) {
  module.doc() = "Native searches over orders and offsets; integers in, integers out.";
  module.def("tflm_greedy", &tflm_greedy, "sizes"_a, "first"_a, "last"_a, "offline"_a,
             "Offsets of TFLM's greedy planner; steps are inclusive, -1 in `offline` means to be planned.");
  module.def("live_sums", &live_sums, "sizes"_a, "starts"_a, "stops"_a,
             "Breakpoints and live sums of half-open lifetimes.");
  module.def("load_bound", &load_bound, "sizes"_a, "starts"_a, "stops"_a, "The largest live sum.");
}
