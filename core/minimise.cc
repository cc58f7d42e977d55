// SPDX-License-Identifier: Apache-2.0
// The least height, by searches within capacities between the lower bound and the best height so far.
//
// A search well above the optimum ends quickly with a placement, one well below it may end quickly with a proof, and
// one near it may take long. So each round gives every capacity that it tries the same quota, starting at the lower
// bound (where the optimum nearly always is) and then halving the gap; the next round doubles the quota.
#include "minimise.h"

#include <algorithm>
#include <utility>

#include "branch_bound.h"

namespace thimble {
namespace {

constexpr std::int64_t kQuotaRuns = 8;
constexpr const char* kMethod = "branch and bound";

class Narrowing {
 public:
  Narrowing(const Instance& instance, Bracket bracket, Bytes enough, std::int64_t budget)
      : in_(instance), bracket_(std::move(bracket)), enough_(enough), budget_(budget), experience_(instance) {}

  Bracket run() {
    std::int64_t quota = kQuotaRuns * (300 + in_.count());
    while (!done()) {
      attempt(std::max(bracket_.lower_bound, std::min(enough_, bracket_.best.height - 1)), quota);
      for (Bytes low = bracket_.lower_bound; !done() && low < bracket_.best.height - 1;) {
        const Bytes middle = low + (bracket_.best.height - low) / 2;
        low = attempt(middle, quota) == Outcome::kFound ? std::max(low, bracket_.lower_bound) : middle;
      }
      quota *= 2;
    }
    return std::move(bracket_);
  }

 private:
  bool done() const {
    return bracket_.best.height <= std::max(bracket_.lower_bound, enough_) || bracket_.nodes >= budget_;
  }

  Outcome attempt(Bytes capacity, std::int64_t quota) {
    const Space space{{0, capacity}};
    SearchResult result = branch_and_bound(in_, space, std::min(quota, budget_ - bracket_.nodes), experience_);
    bracket_.nodes += result.nodes;
    if (result.outcome == Outcome::kRefuted) bracket_.lower_bound = std::max(bracket_.lower_bound, capacity + 1);
    if (result.outcome == Outcome::kFound) {
      const Bytes height = height_of(in_.size, result.addresses);
      bracket_.best = {std::move(result.addresses), height, kMethod};
    }
    return result.outcome;
  }

  const Instance& in_;
  Bracket bracket_;
  Bytes enough_;
  std::int64_t budget_;
  Experience experience_;
};

}  // namespace

Bracket minimise(const Instance& instance, Placing start, Bytes lower_bound, Bytes enough, std::int64_t budget) {
  return Narrowing(instance, {std::move(start), lower_bound, 0}, enough, budget).run();
}

}  // namespace thimble
