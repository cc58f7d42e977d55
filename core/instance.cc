// SPDX-License-Identifier: Apache-2.0
#include "instance.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

namespace thimble {
namespace {

struct Event {
  Time time;
  int start;  // 0 for an end, so that ends come first at one step.
  int item;
  auto operator<=>(const Event&) const = default;
};

// The lifetime without its gaps.
std::vector<Interval> active_pieces(const Buffer& buffer) {
  std::vector<Interval> gaps = buffer.gaps;
  std::sort(gaps.begin(), gaps.end(), [](const Interval& a, const Interval& b) { return a.start < b.start; });
  std::vector<Interval> pieces;
  if (buffer.lifetime.empty()) return pieces;
  Time at = buffer.lifetime.start;
  for (const Interval& gap : gaps) {
    if (gap.empty()) continue;
    if (gap.start > at) pieces.push_back({at, std::min(gap.start, buffer.lifetime.stop)});
    at = std::max(at, gap.stop);
    if (at >= buffer.lifetime.stop) break;
  }
  if (at < buffer.lifetime.stop) pieces.push_back({at, buffer.lifetime.stop});
  return pieces;
}

std::vector<Event> events_of(const Problem& problem, const std::vector<int>& part) {
  std::vector<Event> events;
  for (std::size_t i = 0; i < part.size(); ++i) {
    const Buffer& buffer = problem.buffers[idx(part[i])];
    if (buffer.size == 0) continue;
    for (const Interval& piece : active_pieces(buffer)) {
      events.push_back({piece.start, 1, static_cast<int>(i)});
      events.push_back({piece.stop, 0, static_cast<int>(i)});
    }
  }
  std::sort(events.begin(), events.end());
  return events;
}

// A set of live items is maximal where an end follows a start.
template <typename Emit>
void each_section(const std::vector<Event>& events, std::size_t count, Emit&& emit) {
  std::vector<int> live;
  std::vector<std::size_t> place(count, 0);
  bool grown = false;
  for (const Event& event : events) {
    if (event.start == 1) {
      place[idx(event.item)] = live.size();
      live.push_back(event.item);
      grown = true;
      continue;
    }
    if (grown) emit(live);
    grown = false;
    const std::size_t hole = place[idx(event.item)];
    live[hole] = live.back();
    place[idx(live[hole])] = hole;
    live.pop_back();
  }
}

Rows transpose(const Rows& rows, int count) {
  std::vector<std::vector<int>> columns(idx(count));
  for (int r = 0; r < rows.size(); ++r) {
    for (const int item : rows.row(r)) columns[idx(item)].push_back(r);
  }
  Rows result;
  for (const auto& column : columns) {
    result.values.insert(result.values.end(), column.begin(), column.end());
    result.end_row();
  }
  return result;
}

// Empty if there are more than `max_clashes`.
Rows clashes(const Instance& in, std::int64_t max_clashes) {
  Rows result;
  std::vector<int> seen(idx(in.count()), -1);
  for (int i = 0; i < in.count(); ++i) {
    const std::size_t start = result.values.size();
    seen[idx(i)] = i;
    for (const int s : in.spans.row(i)) {
      for (const int other : in.sections.row(s)) {
        if (seen[idx(other)] == i) continue;
        seen[idx(other)] = i;
        result.values.push_back(other);
      }
    }
    std::sort(result.values.begin() + static_cast<std::ptrdiff_t>(start), result.values.end());
    result.end_row();
    if (static_cast<std::int64_t>(result.values.size()) > max_clashes) return {};
  }
  return result;
}

Bytes round_up(Bytes value, Bytes multiple) { return (value + multiple - 1) / multiple * multiple; }

// Both starts are multiples of the common divisor of the alignments, hence so is their distance.
void fill_distances(const Problem& problem, const DistanceMap& distances, Instance& in) {
  const bool one_arena = problem.capacities.size() == 1;
  in.above.resize(in.neighbours.values.size());
  in.below.resize(in.neighbours.values.size());
  in.step = in.size;
  bool uniform = true;
  for (int i = 0; i < in.count(); ++i) {
    const auto row = in.neighbours.row(i);
    Bytes least = row.empty() ? in.size[idx(i)] : kNowhere;
    for (std::size_t p = 0; p < row.size(); ++p) {
      const int j = row[p];
      const Bytes grain = one_arena ? std::gcd(in.alignment[idx(i)], in.alignment[idx(j)]) : 1;
      const std::size_t e = in.edge(i, p);
      in.above[e] = round_up(distances.least(problem, in.ids[idx(i)], in.ids[idx(j)]), grain);
      in.below[e] = round_up(distances.least(problem, in.ids[idx(j)], in.ids[idx(i)]), grain);
      least = std::min(least, in.above[e]);
      uniform = uniform && in.above[e] == in.above[in.edge(i, 0)];
      in.has_zero_steps = in.has_zero_steps || in.above[e] == 0;
    }
    in.step[idx(i)] = least;
  }
  if (uniform) {
    in.above.clear();
    in.below.clear();
  }
}

void fill_pads(Instance& in) {
  for (int s = 0; s < in.sections.size(); ++s) {
    Bytes pad = -kMaxBytes;
    for (const int i : in.sections.row(s)) pad = std::max(pad, in.step[idx(i)] - in.size[idx(i)]);
    in.pad.push_back(pad);
  }
}

void fill_holes(const Problem& problem, Instance& in) {
  in.holes.resize(idx(in.count()));
  if (problem.capacities.size() != 1) return;
  for (int i = 0; i < in.count(); ++i) {
    const auto row = in.neighbours.row(i);
    for (std::size_t p = 0; p < row.size(); ++p) {
      const Bytes place = in.fixed[idx(row[p])];
      const std::size_t e = in.edge(i, p);
      if (place != kNone) in.holes[idx(i)].push_back({place - in.up(i, e), place + in.down(row[p], e)});
    }
  }
}

// Items that could swap places without any difference are chained, so that only one order of them is searched.
void fill_twins(Instance& in) {
  in.twin.assign(idx(in.count()), -1);
  if (!in.above.empty()) return;
  std::map<std::tuple<Bytes, Bytes, std::vector<int>, std::vector<int>>, int> last;
  for (int i = 0; i < in.count(); ++i) {
    if (in.fixed[idx(i)] != kNone) continue;
    const auto span = in.spans.row(i);
    auto key = std::make_tuple(in.size[idx(i)], in.alignment[idx(i)], in.arenas[idx(i)],
                               std::vector<int>(span.begin(), span.end()));
    const auto [entry, is_new] = last.try_emplace(std::move(key), i);
    if (is_new) continue;
    in.twin[idx(entry->second)] = i;
    entry->second = i;
  }
}

}  // namespace

Bytes Instance::lift(int item, Bytes address, const Space& space) const {
  const std::size_t i = idx(item);
  const auto lift_in = [&](const Segment& segment) {
    const Bytes last = segment.high - size[i];
    if (fixed[i] != kNone) {
      const Bytes place = fixed[i] <= last - segment.low ? segment.low + fixed[i] : kNowhere;
      return place >= address ? place : kNowhere;
    }
    Bytes place = std::max(address, segment.low);
    for (bool moved = true; moved && place <= last;) {
      place = segment.low + round_up(place - segment.low, alignment[i]);
      moved = false;
      for (const Hole& hole : holes[i]) {
        if (hole.low < place && place < hole.high) {
          place = hole.high;
          moved = true;
        }
      }
    }
    return place <= last ? place : kNowhere;
  };
  if (arenas[i].empty()) {
    for (const Segment& segment : space) {
      if (const Bytes place = lift_in(segment); place != kNowhere) return place;
    }
    return kNowhere;
  }
  for (const int arena : arenas[i]) {
    if (const Bytes place = lift_in(space[idx(arena)]); place != kNowhere) return place;
  }
  return kNowhere;
}

DistanceMap::DistanceMap(const Problem& problem) {
  if (problem.distances.empty()) return;
  by_early.resize(problem.buffers.size());
  for (const Distance& distance : problem.distances) by_early[idx(distance.early)].push_back(distance);
  for (auto& list : by_early) {
    // The larger of two entries for a pair comes last and wins: both must hold.
    std::sort(list.begin(), list.end(), [](const Distance& a, const Distance& b) {
      return a.late != b.late ? a.late < b.late : a.least < b.least;
    });
  }
}

Bytes DistanceMap::least(const Problem& problem, int early, int late) const {
  const Bytes size = problem.buffers[idx(early)].size;
  if (by_early.empty()) return size;
  const auto& list = by_early[idx(early)];
  const auto end = std::upper_bound(list.begin(), list.end(), late,
                                    [](int value, const Distance& distance) { return value < distance.late; });
  if (end == list.begin() || std::prev(end)->late != late) return size;
  return std::prev(end)->least;
}

Bytes DistanceMap::smallest(const Problem& problem, int early) const {
  Bytes result = problem.buffers[idx(early)].size;
  if (by_early.empty()) return result;
  for (const Distance& distance : by_early[idx(early)]) result = std::min(result, distance.least);
  return result;
}

std::vector<std::vector<int>> time_components(const Problem& problem) {
  std::vector<int> order(problem.buffers.size());
  std::iota(order.begin(), order.end(), 0);
  const auto& buffers = problem.buffers;
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return buffers[idx(a)].lifetime.start < buffers[idx(b)].lifetime.start; });
  std::vector<std::vector<int>> parts;
  bool open = false;
  Time stop = 0;
  for (const int id : order) {
    const Buffer& buffer = buffers[idx(id)];
    if (buffer.size == 0 || active_pieces(buffer).empty()) {
      parts.insert(parts.end() - (open ? 1 : 0), {id});
      continue;
    }
    if (!open || buffer.lifetime.start >= stop) {
      parts.push_back({});
      stop = buffer.lifetime.stop;
      open = true;
    }
    parts.back().push_back(id);
    stop = std::max(stop, buffer.lifetime.stop);
  }
  for (auto& part : parts) std::sort(part.begin(), part.end());
  return parts;
}

std::int64_t section_entries(const Problem& problem, const std::vector<int>& part) {
  std::int64_t entries = 0;
  each_section(events_of(problem, part), part.size(),
               [&](const std::vector<int>& live) { entries += static_cast<std::int64_t>(live.size()); });
  return entries;
}

Instance build_instance(const Problem& problem, const DistanceMap& distances, std::vector<int> part,
                        std::int64_t max_clashes) {
  Instance in;
  each_section(events_of(problem, part), part.size(), [&](std::vector<int> live) {
    std::sort(live.begin(), live.end());
    in.sections.values.insert(in.sections.values.end(), live.begin(), live.end());
    in.sections.end_row();
  });
  in.ids = std::move(part);
  for (const int id : in.ids) {
    const Buffer& buffer = problem.buffers[idx(id)];
    in.size.push_back(buffer.size);
    in.alignment.push_back(buffer.alignment);
    in.fixed.push_back(buffer.offset);
    in.arenas.push_back(buffer.arenas);
    std::sort(in.arenas.back().begin(), in.arenas.back().end());
  }
  in.spans = transpose(in.sections, in.count());
  in.neighbours = clashes(in, max_clashes);
  in.is_partial = in.neighbours.size() != in.count();
  if (in.is_partial) {
    for (const int id : in.ids) in.step.push_back(distances.smallest(problem, id));
    in.holes.resize(in.ids.size());
    fill_pads(in);
    return in;
  }
  fill_distances(problem, distances, in);
  fill_pads(in);
  fill_holes(problem, in);
  fill_twins(in);
  return in;
}

Bytes stack_bound(const Instance& in) {
  Bytes bound = 0;
  for (int s = 0; s < in.sections.size(); ++s) {
    Bytes sum = -in.pad[idx(s)];
    for (const int i : in.sections.row(s)) sum += in.step[idx(i)];
    bound = std::max(bound, sum);
  }
  for (const Bytes size : in.size) bound = std::max(bound, size);
  return bound;
}

}  // namespace thimble
