// SPDX-License-Identifier: Apache-2.0
#include "load.h"

#include <algorithm>
#include <cstddef>

namespace thimble {
namespace {

struct Event {
  Time time;
  Bytes change;
};

}  // namespace

LiveSums live_sums(const std::vector<Bytes>& sizes, const std::vector<Time>& starts, const std::vector<Time>& stops) {
  if (starts.size() != sizes.size() || stops.size() != sizes.size()) return {Status::kBadInput, {}, {}};
  std::vector<Event> events;
  events.reserve(2 * sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0 || sizes[i] > kMaxBytes) return {Status::kBadInput, {}, {}};
    if (starts[i] >= stops[i]) continue;
    events.push_back({starts[i], sizes[i]});
    events.push_back({stops[i], -sizes[i]});
  }
  // Ends before starts at one step, so that the running sum is never more than what is truly live.
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.time != b.time ? a.time < b.time : a.change < b.change;
  });
  LiveSums result;
  Bytes sum = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].change > kMaxBytes - sum) return {Status::kOverflow, {}, {}};
    sum += events[i].change;
    const bool last_at_this_step = i + 1 == events.size() || events[i + 1].time != events[i].time;
    if (last_at_this_step) {
      result.times.push_back(events[i].time);
      result.sums.push_back(sum);
    }
  }
  return result;
}

LoadBound load_bound(const std::vector<Bytes>& sizes, const std::vector<Time>& starts, const std::vector<Time>& stops) {
  const LiveSums live = live_sums(sizes, starts, stops);
  if (live.status != Status::kSolved || live.sums.empty()) return {live.status, 0};
  return {Status::kSolved, *std::max_element(live.sums.begin(), live.sums.end())};
}

}  // namespace thimble
