// SPDX-License-Identifier: Apache-2.0
// A static index of closed time ranges that lists all ranges meeting a given one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

namespace thimble {

// Ranges sorted by first step, under an implicit tree that holds the largest last step of each subtree. A query
// that meets k ranges costs O((k + 1) log n), so long chains of short lifetimes are scanned in near-linear time.
class OverlapIndex {
 public:
  OverlapIndex(std::span<const std::int64_t> first, std::span<const std::int64_t> last) : order_(first.size()) {
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](int a, int b) { return at(first, a) < at(first, b); });
    while (leaves_ < order_.size()) leaves_ *= 2;
    latest_.assign(2 * leaves_, std::numeric_limits<std::int64_t>::min());
    first_.reserve(order_.size());
    for (std::size_t i = 0; i < order_.size(); ++i) {
      first_.push_back(at(first, order_[i]));
      latest_[leaves_ + i] = at(last, order_[i]);
    }
    for (std::size_t node = leaves_ - 1; node > 0; --node) {
      latest_[node] = std::max(latest_[2 * node], latest_[2 * node + 1]);
    }
  }

  // Calls `visit(id)` for every range with first <= `last` and last >= `first`, in the order of first steps.
  template <typename Visit>
  void each(std::int64_t first, std::int64_t last, Visit&& visit) const {
    const auto end = std::upper_bound(first_.begin(), first_.end(), last);
    descend(1, 0, leaves_, static_cast<std::size_t>(end - first_.begin()), first, visit);
  }

 private:
  static std::int64_t at(std::span<const std::int64_t> values, int i) { return values[static_cast<std::size_t>(i)]; }

  template <typename Visit>
  void descend(std::size_t node, std::size_t low, std::size_t high, std::size_t end, std::int64_t first,
               Visit& visit) const {
    if (low >= end || latest_[node] < first) return;
    if (node >= leaves_) {
      visit(order_[low]);
      return;
    }
    const std::size_t middle = low + (high - low) / 2;
    descend(2 * node, low, middle, end, first, visit);
    descend(2 * node + 1, middle, high, end, first, visit);
  }

  std::size_t leaves_ = 1;
  std::vector<int> order_;
  std::vector<std::int64_t> first_;
  std::vector<std::int64_t> latest_;
};

}  // namespace thimble
