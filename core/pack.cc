// SPDX-License-Identifier: Apache-2.0
// Problem in, solution out: check, divide, bound, try what is fast, search what remains.
#include "pack.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "branch_bound.h"
#include "check.h"
#include "first_fit.h"
#include "instance.h"
#include "load.h"
#include "minimise.h"
#include "parts.h"
#include "windows.h"
#include "witness.h"

namespace thimble {
namespace {

// Beyond these a part is stacked without a search: listing its clashes would take too much memory.
constexpr std::int64_t kMaxSectionEntries = 4'000'000;
constexpr std::int64_t kMaxClashes = 16'000'000;
constexpr int kMaxSearchItems = 8192;
// Longer parts are first placed window by window.
constexpr std::size_t kWindowItems = 1000;
// The budget grows with the problem, so that a search can at least reach the end of a long one.
constexpr std::int64_t kNodesPerBuffer = 16;
constexpr const char* kTooLarge = "sizes and alignments add up to more than 2^62 bytes";

struct PieceState {
  Piece part;
  Placing placing;
  Bytes lower_bound = 0;  // Of the part's own height, without the ground.
  bool is_searchable = false;

  [[nodiscard]] Bytes height() const {
    return placing.height == kNowhere ? kNowhere : part.base + placing.height;
  }
};

class Packing {
 public:
  Packing(const Problem& problem, std::int64_t budget)
      : problem_(problem), distances_(problem), is_single_(problem.capacities.size() == 1), budget_(budget) {}

  Solution run(std::vector<int>* culprits) {
    Division division = divide(problem_);
    grounds_ = std::move(division.grounds);
    if (!lay_out_space()) return failed(Status::kOverflow, kTooLarge);
    for (Piece& part : division.parts) {
      if (std::optional<Solution> refuted = open_part(std::move(part), culprits)) return std::move(*refuted);
    }
    if (std::optional<Solution> refuted = search_parts(culprits)) return std::move(*refuted);
    return result();
  }

 private:
  static Solution failed(Status status, std::string message) {
    Solution solution;
    solution.status = status;
    solution.message = std::move(message);
    return solution;
  }

  Bytes capacity() const { return space_.front().high; }
  bool is_bounded() const { return !is_single_ || problem_.capacities.front() != kNone; }

  // Arenas side by side; no placement needs more of one than all buffers can reach.
  bool lay_out_space() {
    const Bytes farthest = reach(problem_, time_components(problem_));
    if (farthest > kMaxBytes) return false;
    Bytes low = 0;
    for (const Bytes capacity : problem_.capacities) {
      Bytes span = capacity == kNone ? farthest : capacity;
      if (!is_single_) span = std::min(span, farthest);
      if (span > kMaxBytes - low) return false;
      space_.push_back({low, low + span});
      low += span;
    }
    return true;
  }

  // Where a part may lie: above its ground, and without regard to the capacity if `is_free`.
  Space space_of(const Piece& part, bool is_free) const {
    if (!is_single_) return space_;
    return {{0, is_free ? kMaxBytes : std::max<Bytes>(-1, capacity() - part.base)}};
  }

  Solution refuted(const std::vector<int>& ids, const Piece& part, std::vector<int>* culprits) const {
    if (culprits != nullptr) {
      *culprits = ids;
      for (int g = part.below; g >= 0; g = grounds_[idx(g)].below) {
        culprits->insert(culprits->end(), grounds_[idx(g)].ids.begin(), grounds_[idx(g)].ids.end());
      }
    }
    Solution solution = failed(Status::kInfeasible, "");
    solution.nodes = nodes_;
    return solution;
  }

  // Bounds the part and places it by what is fast.
  std::optional<Solution> open_part(Piece part, std::vector<int>* culprits) {
    PieceState state;
    if (section_entries(problem_, part.ids) > kMaxSectionEntries) {
      state.placing = stack_up(problem_, distances_, part.ids, space_of(part, is_single_));
      state.lower_bound = is_single_ ? load_of(part) : 0;
    } else {
      const Instance instance = build_instance(problem_, distances_, part.ids, kMaxClashes);
      if (std::vector<int> clash = hopeless(instance); !clash.empty()) return refuted(clash, part, culprits);
      state.lower_bound = is_single_ ? stack_bound(instance) : 0;
      const Bytes enough = is_single_ ? std::max(state.lower_bound, floor_ - part.base) : kMaxBytes;
      state.placing = instance.is_partial ? stack_up(problem_, distances_, part.ids, space_of(part, is_single_))
                                          : best_first_fit(instance, space_of(part, is_single_), enough);
      state.is_searchable = !instance.is_partial && instance.count() <= kMaxSearchItems;
    }
    const Bytes least = part.base + state.lower_bound;
    if (is_single_ && is_bounded() && least > capacity()) return refuted(part.ids, part, culprits);
    floor_ = std::max(floor_, least);
    state.part = std::move(part);
    states_.push_back(std::move(state));
    return std::nullopt;
  }

  // The largest live sum of the part, counting only buffers without gaps.
  Bytes load_of(const Piece& part) const {
    if (!distances_.by_early.empty()) return 0;
    std::vector<Bytes> sizes;
    std::vector<Time> starts;
    std::vector<Time> stops;
    for (const int id : part.ids) {
      const Buffer& buffer = problem_.buffers[idx(id)];
      if (!buffer.gaps.empty()) continue;
      sizes.push_back(buffer.size);
      starts.push_back(buffer.lifetime.start);
      stops.push_back(buffer.lifetime.stop);
    }
    return load_bound(sizes, starts, stops).bytes;
  }

  static std::vector<int> with_fixed_neighbours(const Instance& in, int item) {
    std::vector<int> ids{in.ids[idx(item)]};
    if (in.is_partial) return ids;
    for (const int other : in.neighbours.row(item)) {
      if (in.fixed[idx(other)] != kNone) ids.push_back(in.ids[idx(other)]);
    }
    return ids;
  }

  // A buffer that fits nowhere, or two fixed ones that overlap.
  std::vector<int> hopeless(const Instance& in) const {
    for (int i = 0; i < in.count(); ++i) {
      if (in.lift(i, 0, space_) == kNowhere) return with_fixed_neighbours(in, i);
      if (!is_single_ || in.fixed[idx(i)] == kNone || in.is_partial) continue;
      const auto row = in.neighbours.row(i);
      for (std::size_t p = 0; p < row.size(); ++p) {
        const Bytes mine = in.fixed[idx(i)];
        const Bytes other = in.fixed[idx(row[p])];
        if (other == kNone) continue;
        const std::size_t e = in.edge(i, p);
        const bool is_clash = mine + in.up(i, e) > other && other + in.down(row[p], e) > mine;
        if (is_clash) return {in.ids[idx(i)], in.ids[idx(row[p])]};
      }
    }
    return {};
  }

  bool is_done(const PieceState& state) const {
    if (state.placing.height == kNowhere) return false;
    if (!is_single_) return true;
    return state.height() <= (is_bounded() ? std::max(floor_, capacity()) : floor_);
  }

  // The part that stands out most is searched first: what it needs at least, others may use.
  std::optional<Solution> search_parts(std::vector<int>* culprits) {
    std::vector<std::size_t> order(states_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return states_[a].height() > states_[b].height(); });
    for (const std::size_t i : order) {
      PieceState& state = states_[i];
      if (is_done(state) || nodes_ >= budget_) continue;
      if (!is_bounded() && state.placing.height == kNowhere) continue;
      if (is_single_ && state.part.ids.size() > kWindowItems && !slide(state)) {
        return refuted(state.part.ids, state.part, culprits);
      }
      if (is_done(state) || !state.is_searchable || nodes_ >= budget_) continue;
      const Instance instance = build_instance(problem_, distances_, state.part.ids, kMaxClashes);
      if (!is_bounded()) {
        narrow(instance, state);
      } else if (!fit(instance, state)) {
        return refuted(state.part.ids, state.part, culprits);
      }
    }
    return std::nullopt;
  }

  // Windows at heights from the lower bound upwards, or within the capacity. False if that is proven impossible.
  bool slide(PieceState& state) {
    const Bytes from = is_bounded() ? capacity() : std::max(floor_, state.part.base + state.lower_bound);
    const Bytes low = from - state.part.base;
    const Bytes gap = is_bounded() ? 0 : state.placing.height - low;
    for (const Bytes sixteenths : {0, 1, 2, 4, 8}) {
      const Bytes target = low + gap / 16 * sixteenths;
      WindowResult found = place_by_windows(problem_, distances_, state.part.ids, target, (budget_ - nodes_) / 2);
      nodes_ += found.nodes;
      if (found.is_refuted && is_bounded()) return false;
      if (found.is_refuted) state.lower_bound = std::max(state.lower_bound, target + 1);
      if (found.placing.height < state.placing.height) state.placing = std::move(found.placing);
      if (gap == 0 || state.placing.height <= target) break;
    }
    floor_ = std::max(floor_, state.part.base + state.lower_bound);
    return true;
  }

  void narrow(const Instance& instance, PieceState& state) {
    const Bytes enough = floor_ - state.part.base;
    Bracket bracket =
        minimise(instance, std::move(state.placing), state.lower_bound, enough, budget_ - nodes_);
    nodes_ += bracket.nodes;
    state.placing = std::move(bracket.best);
    state.lower_bound = bracket.lower_bound;
    floor_ = std::max(floor_, state.part.base + state.lower_bound);
  }

  // False if there is a proof that the part does not fit.
  bool fit(const Instance& instance, PieceState& state) {
    Experience experience(instance);
    const Space space = space_of(state.part, false);
    SearchResult found = branch_and_bound(instance, space, budget_ - nodes_, experience);
    nodes_ += found.nodes;
    if (found.outcome == Outcome::kFound) {
      const Bytes height = height_of(instance.size, found.addresses);
      state.placing = {std::move(found.addresses), height, "branch and bound"};
    }
    return found.outcome != Outcome::kRefuted;
  }

  Solution result() const {
    Solution solution;
    solution.nodes = nodes_;
    solution.offsets.assign(problem_.buffers.size(), 0);
    solution.arenas.assign(problem_.buffers.size(), 0);
    std::vector<Bytes> heights(space_.size(), 0);
    Bytes highest = -1;
    for (const PieceState& state : states_) {
      if (state.placing.height == kNowhere) {
        return failed(Status::kExhausted, "the budget ran out before a placement was found");
      }
      for (std::size_t i = 0; i < state.part.ids.size(); ++i) {
        settle(state.part.ids[i], state.part.base + state.placing.addresses[i], solution, heights);
      }
      if (state.height() > highest) solution.method = state.placing.method;
      highest = std::max(highest, state.height());
    }
    for (const Ground& ground : grounds_) {
      Bytes at = ground.base;
      for (const int id : ground.ids) {
        settle(id, at, solution, heights);
        at += problem_.buffers[idx(id)].size;
      }
    }
    solution.height = std::accumulate(heights.begin(), heights.end(), Bytes{0});
    solution.lower_bound = std::min(solution.height, is_single_ ? floor_ : total_load());
    return solution;
  }

  void settle(int id, Bytes address, Solution& solution, std::vector<Bytes>& heights) const {
    std::size_t arena = 0;
    while (arena + 1 < space_.size() && !holds(id, arena, address)) ++arena;
    const Bytes offset = address - space_[arena].low;
    solution.offsets[idx(id)] = offset;
    solution.arenas[idx(id)] = static_cast<int>(arena);
    heights[arena] = std::max(heights[arena], offset + problem_.buffers[idx(id)].size);
  }

  bool holds(int id, std::size_t arena, Bytes address) const {
    const Buffer& buffer = problem_.buffers[idx(id)];
    const bool is_allowed = buffer.arenas.empty() ||
                            std::find(buffer.arenas.begin(), buffer.arenas.end(), static_cast<int>(arena)) !=
                                buffer.arenas.end();
    return is_allowed && space_[arena].low <= address && address + buffer.size <= space_[arena].high;
  }

  // However buffers are spread over arenas, those live at one step take their sizes.
  Bytes total_load() const {
    Bytes bound = 0;
    for (const PieceState& state : states_) bound = std::max(bound, load_of(state.part));
    return bound;
  }

  const Problem& problem_;
  DistanceMap distances_;
  bool is_single_;
  std::int64_t budget_;
  Space space_;
  std::vector<Ground> grounds_;
  std::vector<PieceState> states_;
  Bytes floor_ = 0;  // No placement of the whole is lower.
  std::int64_t nodes_ = 0;
};

void in_bytes(Solution& solution, Bytes unit) {
  for (Bytes& offset : solution.offsets) offset *= unit;
  solution.height *= unit;
  solution.lower_bound *= unit;
}

Solution pack_units(const Problem& problem, std::int64_t budget, std::vector<int>* culprits) {
  Solution solution;
  solution.message = complaint(problem);
  if (!solution.message.empty()) {
    solution.status = Status::kBadInput;
    return solution;
  }
  if (reach(problem, time_components(problem)) > kMaxBytes) {
    solution.status = Status::kOverflow;
    solution.message = kTooLarge;
    return solution;
  }
  const Bytes unit = grain(problem);
  const auto count = static_cast<std::int64_t>(problem.buffers.size());
  const std::int64_t nodes = budget > 0 ? budget + kNodesPerBuffer * count : 0;
  if (unit == 1) return Packing(problem, nodes).run(culprits);
  const Problem scaled = in_units(problem, unit);
  solution = Packing(scaled, nodes).run(culprits);
  in_bytes(solution, unit);
  return solution;
}

}  // namespace

Solution decide(const Problem& problem, std::int64_t budget) { return pack_units(problem, budget, nullptr); }

Solution pack(const Problem& problem, std::int64_t budget) {
  std::vector<int> culprits;
  Solution solution = pack_units(problem, budget, &culprits);
  if (solution.status != Status::kInfeasible) return solution;
  Witness witness = irreducible(problem, std::move(culprits), budget);
  solution.witness = std::move(witness.buffers);
  solution.excess = witness.excess;
  return solution;
}

}  // namespace thimble
