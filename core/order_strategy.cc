// SPDX-License-Identifier: Apache-2.0
// How a part's budget is spent: in rounds of growing shares, each an exact search from the beginning, one from the end
// (whichever lies nearer to the bottleneck needs far fewer sets), and dives that look for a better order below a given
// peak. Dives halve the distance between bound and best order; they also prove bounds when they come to an end.
#include <algorithm>

#include "order_walk.h"

namespace thimble::order {

namespace {

constexpr std::int64_t kFirstShare = 2'000;
constexpr std::int64_t kGrowth = 8;
constexpr int kDives = 6;

class Strategy {
 public:
  Strategy(const Part& part, Bytes floor, Bytes ceiling, std::int64_t budget)
      : part_(part), floor_(floor), ceiling_(ceiling), budget_(budget) {}

  Found run() {
    const auto units = static_cast<std::int64_t>(part_.units.size());
    for (std::int64_t share = std::max(kFirstShare, 2 * kDives * units); !done(); share *= kGrowth) {
      for (const Way way : {Way::kForward, Way::kBackward}) {
        if (!done()) attempt(way, floor_, ceiling_, share);
      }
      dive(share / kDives);
    }
    best_.peak = ceiling_;
    best_.proven = ceiling_ <= floor_;
    best_.lower_bound = std::min(floor_, ceiling_);
    return std::move(best_);
  }

 private:
  [[nodiscard]] bool done() const { return ceiling_ <= floor_ || best_.nodes >= budget_; }

  // Searches between the two; true if that brought a better order.
  bool attempt(Way way, Bytes floor, Bytes ceiling, std::int64_t share) {
    Found found = search(part_, way, floor, ceiling, std::min(share, budget_ - best_.nodes));
    best_.nodes += found.nodes;
    if (found.units.empty()) {
      // A search that started above the floor has proven something only when it came to an end.
      if (found.proven || floor == floor_) floor_ = std::max(floor_, found.lower_bound);
      return false;
    }
    ceiling_ = std::min(ceiling_, peak_of(found.units));
    if (floor == floor_) floor_ = std::max(floor_, found.lower_bound);
    best_.units = std::move(found.units);
    return true;
  }

  void dive(std::int64_t share) {
    Bytes low = floor_;
    for (int i = 0; i < kDives && !done(); ++i) {
      low = std::max(low, floor_);
      const Bytes middle = low + (ceiling_ - low) / 2;
      if (middle <= low || middle >= ceiling_) return;
      const bool better = attempt(Way::kForward, middle, middle + 1, share) ||
                          (floor_ <= middle && attempt(Way::kBackward, middle, middle + 1, share));
      if (!better) low = middle;
    }
  }

  Bytes peak_of(const std::vector<int>& units) const {
    Walk walk(part_, Way::kForward);
    Bytes peak = walk.live();
    for (const int u : units) {
      peak = std::max(peak, walk.effect(u).need);
      walk.take(u);
    }
    return peak;
  }

  const Part& part_;
  Bytes floor_;
  Bytes ceiling_;
  std::int64_t budget_;
  Found best_;
};

}  // namespace

Found order_part(const Part& part, Bytes floor, Bytes ceiling, std::int64_t budget) {
  return Strategy(part, floor, ceiling, budget).run();
}

}  // namespace thimble::order
