// SPDX-License-Identifier: Apache-2.0
// The lowest free address for one item after the other, in a handful of orders that are each best somewhere.
#include "first_fit.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace thimble {
namespace {

struct Below {
  Bytes address;
  int item;
  std::size_t edge;
};

// The lowest allowed address of `item` that clashes with none of `placed`, which is sorted by address.
Bytes lowest_free(const Instance& in, const Space& space, int item, const std::vector<Below>& placed) {
  Bytes at = in.lift(item, 0, space);
  // One sweep suffices when every distance is a size; with smaller distances a later move may reach back.
  for (bool moved = true; moved && at != kNowhere;) {
    moved = false;
    for (const Below& other : placed) {
      const bool under = at + in.up(item, other.edge) <= other.address;
      const bool over = other.address + in.down(other.item, other.edge) <= at;
      if (under || over) continue;
      at = in.lift(item, other.address + in.down(other.item, other.edge), space);
      if (at == kNowhere) break;
      moved = true;
    }
  }
  return at;
}

std::vector<Bytes> first_fit(const Instance& in, const Space& space, const std::vector<int>& order) {
  std::vector<Bytes> addresses(idx(in.count()), kNone);
  std::vector<Below> placed;
  for (const int item : order) {
    placed.clear();
    const auto row = in.neighbours.row(item);
    for (std::size_t p = 0; p < row.size(); ++p) {
      if (addresses[idx(row[p])] != kNone) placed.push_back({addresses[idx(row[p])], row[p], in.edge(item, p)});
    }
    std::sort(placed.begin(), placed.end(), [](const Below& a, const Below& b) {
      return a.address != b.address ? a.address < b.address : a.item < b.item;
    });
    const Bytes at = lowest_free(in, space, item, placed);
    if (at == kNowhere) return {};
    addresses[idx(item)] = at;
  }
  return addresses;
}

// Orders by keys, the largest first; the last items first where all keys are equal, as TFLM has it.
std::vector<int> ordered(const Instance& in, const std::function<Bytes(int)>& major,
                         const std::function<Bytes(int)>& minor) {
  std::vector<int> order(idx(in.count()));
  std::iota(order.rbegin(), order.rend(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    const bool a_free = in.fixed[idx(a)] == kNone;
    const bool b_free = in.fixed[idx(b)] == kNone;
    if (a_free != b_free) return b_free;
    if (major(a) != major(b)) return major(a) > major(b);
    return minor(a) > minor(b);
  });
  return order;
}

// The largest leave of a segment tree over steps: the top of what is placed there.
class Skyline {
 public:
  explicit Skyline(std::size_t steps) {
    while (leaves_ < steps) leaves_ *= 2;
    top_.assign(2 * leaves_, 0);
    pending_.assign(2 * leaves_, 0);
  }

  // The highest top in [first, last).
  Bytes top(std::size_t first, std::size_t last) const { return query(1, 0, leaves_, first, last); }

  // Raises all of [first, last) to at least `top`.
  void raise(std::size_t first, std::size_t last, Bytes top) { update(1, 0, leaves_, first, last, top); }

 private:
  Bytes query(std::size_t node, std::size_t low, std::size_t high, std::size_t first, std::size_t last) const {
    if (last <= low || high <= first) return 0;
    if (first <= low && high <= last) return top_[node];
    const std::size_t middle = low + (high - low) / 2;
    return std::max({pending_[node], query(2 * node, low, middle, first, last),
                     query(2 * node + 1, middle, high, first, last)});
  }

  void update(std::size_t node, std::size_t low, std::size_t high, std::size_t first, std::size_t last, Bytes top) {
    if (last <= low || high <= first) return;
    top_[node] = std::max(top_[node], top);
    if (first <= low && high <= last) {
      pending_[node] = std::max(pending_[node], top);
      return;
    }
    const std::size_t middle = low + (high - low) / 2;
    update(2 * node, low, middle, first, last, top);
    update(2 * node + 1, middle, high, first, last, top);
  }

  std::size_t leaves_ = 1;
  std::vector<Bytes> top_;      // Highest top below the node.
  std::vector<Bytes> pending_;  // What was set for the node as a whole.
};

// Each buffer alone, as an instance without neighbours: for `lift`.
Instance lone_items(const Problem& problem, const std::vector<int>& part) {
  Instance in;
  in.ids = part;
  for (const int id : part) {
    const Buffer& buffer = problem.buffers[idx(id)];
    in.size.push_back(buffer.size);
    in.alignment.push_back(buffer.alignment);
    in.fixed.push_back(buffer.offset);
    in.arenas.push_back(buffer.arenas);
    std::sort(in.arenas.back().begin(), in.arenas.back().end());
  }
  in.holes.resize(part.size());
  return in;
}

std::vector<Time> breakpoints(const Problem& problem, const std::vector<int>& part) {
  std::vector<Time> times;
  for (const int id : part) {
    times.push_back(problem.buffers[idx(id)].lifetime.start);
    times.push_back(problem.buffers[idx(id)].lifetime.stop);
  }
  std::sort(times.begin(), times.end());
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

// A later fixed item must not lie below what is already there.
Placing stack_in_order(const Problem& problem, const DistanceMap& distances, const Instance& lone,
                       const std::vector<Time>& times, const std::vector<int>& order, const Space& space) {
  const auto step_of = [&](Time time) {
    return static_cast<std::size_t>(std::lower_bound(times.begin(), times.end(), time) - times.begin());
  };
  Skyline skyline(times.size());
  Placing result{std::vector<Bytes>(order.size(), 0), 0, "stacking"};
  for (const int item : order) {
    const Buffer& buffer = problem.buffers[idx(lone.ids[idx(item)])];
    const std::size_t first = step_of(buffer.lifetime.start);
    const std::size_t last = std::max(first + 1, step_of(buffer.lifetime.stop));
    const Bytes at = lone.lift(item, skyline.top(first, last), space);
    if (at == kNowhere) return {};
    Bytes reach = buffer.size;
    if (!distances.by_early.empty()) {
      for (const Distance& distance : distances.by_early[idx(lone.ids[idx(item)])]) {
        reach = std::max(reach, distance.least);
      }
    }
    skyline.raise(first, last, at + reach);
    result.addresses[idx(item)] = at;
    result.height = std::max(result.height, at + buffer.size);
  }
  return result;
}

}  // namespace

Bytes height_of(const std::vector<Bytes>& sizes, const std::vector<Bytes>& addresses) {
  if (addresses.size() != sizes.size()) return kNowhere;
  Bytes height = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) height = std::max(height, addresses[i] + sizes[i]);
  return height;
}

Placing best_first_fit(const Instance& in, const Space& space, Bytes enough) {
  const auto size = [&](int i) { return in.size[idx(i)]; };
  const auto span = [&](int i) { return static_cast<Bytes>(in.spans.row(i).size()); };
  const auto start = [&](int i) { return in.spans.row(i).empty() ? 0 : -Bytes{in.spans.row(i).front()}; };
  const auto stop = [&](int i) { return in.spans.row(i).empty() ? 0 : Bytes{in.spans.row(i).back()}; };
  const auto area = [&](int i) {
    const Bytes sections = std::max<Bytes>(1, span(i));
    return size(i) > kMaxBytes / sections ? kMaxBytes : size(i) * sections;
  };
  const auto none = [](int) { return Bytes{0}; };
  const std::vector<std::pair<const char*, std::vector<int>>> orders{
      {"first fit by size", ordered(in, size, none)},   {"first fit by area", ordered(in, area, size)},
      {"first fit by lifetime", ordered(in, span, size)}, {"first fit by start", ordered(in, start, span)},
      {"first fit by stop", ordered(in, stop, span)},
  };
  Placing best;
  for (const auto& [method, order] : orders) {
    std::vector<Bytes> addresses = first_fit(in, space, order);
    const Bytes height = height_of(in.size, addresses);
    if (height < best.height) best = {std::move(addresses), height, method};
    if (best.height <= enough) break;
  }
  return best;
}

Placing stack_up(const Problem& problem, const DistanceMap& distances, const std::vector<int>& part,
                 const Space& space) {
  const Instance lone = lone_items(problem, part);
  const std::vector<Time> times = breakpoints(problem, part);
  std::vector<int> order(part.size());
  std::iota(order.begin(), order.end(), 0);
  const auto buffer = [&](int i) -> const Buffer& { return problem.buffers[idx(part[idx(i)])]; };
  const auto by_fixed_then = [&](const std::function<bool(int, int)>& less) {
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      const bool a_fixed = buffer(a).offset != kNone;
      const bool b_fixed = buffer(b).offset != kNone;
      if (a_fixed != b_fixed) return a_fixed;
      // Fixed ones upwards: each then lies on what is below it.
      if (a_fixed) return buffer(a).offset < buffer(b).offset;
      return less(a, b);
    });
  };
  by_fixed_then([&](int a, int b) { return buffer(a).lifetime.start < buffer(b).lifetime.start; });
  Placing best = stack_in_order(problem, distances, lone, times, order, space);
  by_fixed_then([&](int a, int b) { return buffer(a).size > buffer(b).size; });
  Placing other = stack_in_order(problem, distances, lone, times, order, space);
  return other.height < best.height ? other : best;
}

}  // namespace thimble
