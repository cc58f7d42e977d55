// SPDX-License-Identifier: Apache-2.0
#include "windows.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

#include "branch_bound.h"

namespace thimble {
namespace {

constexpr std::size_t kFirstItems = 128;
constexpr std::size_t kMostItems = 2048;
constexpr std::int64_t kNodesPerItem = 24;
constexpr std::int64_t kMaxWindowClashes = 4'000'000;

class Windows {
 public:
  Windows(const Problem& problem, const DistanceMap& distances, const std::vector<int>& part, Bytes capacity,
          std::int64_t budget)
      : given_(problem), pinned_(problem), distances_(distances), order_(part), space_{{0, capacity}}, budget_(budget) {
    std::stable_sort(order_.begin(), order_.end(), [&](int a, int b) { return start(a) < start(b); });
    measure_crossings();
  }

  WindowResult run(const std::vector<int>& part) {
    std::size_t items = kFirstItems;
    while (done_ < order_.size()) {
      if (result_.nodes >= budget_ || items > kMostItems) return std::move(result_);
      const std::size_t end = cut(items);
      const Outcome outcome = place(end);
      if (outcome == Outcome::kFound) {
        starts_.push_back(done_);
        done_ = end;
        items = std::max(kFirstItems, items / 2);
        continue;
      }
      if (outcome == Outcome::kRefuted && done_ == 0) {
        result_.is_refuted = true;
        return std::move(result_);
      }
      items = 2 * std::max(items, end - done_);
      step_back(items);
    }
    collect(part);
    return std::move(result_);
  }

 private:
  Time start(int id) const { return given_.buffers[idx(id)].lifetime.start; }
  Time stop(int id) const { return given_.buffers[idx(id)].lifetime.stop; }

  // Bytes that live across the start of each buffer: where they are few, little is pinned for the next window.
  void measure_crossings() {
    using Ending = std::pair<Time, Bytes>;
    std::priority_queue<Ending, std::vector<Ending>, std::greater<>> live;
    Bytes bytes = 0;
    std::size_t next = 0;
    for (const int id : order_) {
      for (; start(order_[next]) < start(id); ++next) {
        live.push({stop(order_[next]), given_.buffers[idx(order_[next])].size});
        bytes += given_.buffers[idx(order_[next])].size;
      }
      while (!live.empty() && live.top().first <= start(id)) {
        bytes -= live.top().second;
        live.pop();
      }
      crossing_.push_back(bytes);
    }
  }

  // End of a window of about `items` buffers.
  std::size_t cut(std::size_t items) const {
    if (order_.size() - done_ <= items + items / 2) return order_.size();
    std::size_t best = done_ + items / 2 + 1;
    for (std::size_t i = best; i <= done_ + items; ++i) {
      if (crossing_[i] <= crossing_[best]) best = i;
    }
    return best;
  }

  Outcome place(std::size_t end) {
    std::vector<int> ids;
    for (const int id : reaching_) {
      if (stop(id) > start(order_[done_])) ids.push_back(id);
    }
    const std::vector<int> reaching = ids;
    ids.insert(ids.end(), order_.begin() + static_cast<std::ptrdiff_t>(done_),
               order_.begin() + static_cast<std::ptrdiff_t>(end));
    std::sort(ids.begin(), ids.end());
    const Instance instance = build_instance(pinned_, distances_, ids, kMaxWindowClashes);
    if (instance.is_partial) return Outcome::kStopped;
    Experience experience(instance);
    const std::int64_t quota =
        std::min(budget_ - result_.nodes, kNodesPerItem * (300 + std::int64_t{instance.count()}));
    const SearchResult found = branch_and_bound(instance, space_, quota, experience);
    result_.nodes += found.nodes;
    if (found.outcome != Outcome::kFound) return found.outcome;
    for (int i = 0; i < instance.count(); ++i) {
      pinned_.buffers[idx(instance.ids[idx(i)])].offset = found.addresses[idx(i)];
    }
    reaching_ = reaching;
    reaching_.insert(reaching_.end(), order_.begin() + static_cast<std::ptrdiff_t>(done_),
                     order_.begin() + static_cast<std::ptrdiff_t>(end));
    return Outcome::kFound;
  }

  // Takes back windows until at least half of `items` is open again before the failed one.
  void step_back(std::size_t items) {
    const std::size_t failed = done_;
    while (!starts_.empty() && failed - done_ < items / 2) {
      done_ = starts_.back();
      starts_.pop_back();
    }
    for (std::size_t i = done_; i < failed; ++i) {
      pinned_.buffers[idx(order_[i])].offset = given_.buffers[idx(order_[i])].offset;
    }
    reaching_.clear();
    for (std::size_t i = 0; i < done_; ++i) {
      if (stop(order_[i]) > start(order_[done_])) reaching_.push_back(order_[i]);
    }
  }

  void collect(const std::vector<int>& part) {
    Bytes height = 0;
    for (const int id : part) {
      const Buffer& buffer = pinned_.buffers[idx(id)];
      result_.placing.addresses.push_back(buffer.offset);
      height = std::max(height, buffer.offset + buffer.size);
    }
    result_.placing.height = height;
    result_.placing.method = "branch and bound by windows";
  }

  const Problem& given_;
  Problem pinned_;  // With the places of what is done as fixed offsets.
  const DistanceMap& distances_;
  std::vector<int> order_;
  Space space_;
  std::int64_t budget_;
  std::vector<Bytes> crossing_;
  std::vector<std::size_t> starts_;
  std::vector<int> reaching_;  // Done, and perhaps live in what follows.
  std::size_t done_ = 0;
  WindowResult result_;
};

}  // namespace

WindowResult place_by_windows(const Problem& problem, const DistanceMap& distances, const std::vector<int>& part,
                              Bytes capacity, std::int64_t budget) {
  return Windows(problem, distances, part, capacity, budget).run(part);
}

}  // namespace thimble
