// SPDX-License-Identifier: Apache-2.0
// The order search as a whole: split, contract, bound and search the parts that need it, put the order together.
#include "order_search.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "order_part.h"

namespace thimble {

namespace {

using order::Facts;
using order::Found;
using order::Part;

// A stretch of the shipped order that can be ordered on its own, and what is known about its least peak.
struct Stretch {
  int begin = 0;
  int end = 0;
  Bytes peak = 0;          // Of the best order so far.
  Bytes lower_bound = 0;
  std::vector<int> order;  // Empty: as shipped.
  bool proven = false;
};

Status validate(const OrderProblem& problem, std::string& message) {
  const auto n = static_cast<int>(problem.scratch.size());
  const auto bad = [&](const char* what) {
    message = what;
    return Status::kBadInput;
  };
  Bytes total = 0;
  const auto add = [&](Bytes size) {
    if (size > kMaxBytes / 4 - total) return false;
    total += size;
    return true;
  };
  if (problem.before.size() != problem.scratch.size()) return bad("one list of needs per operator is expected");
  for (const Bytes size : problem.scratch) {
    if (size < 0) return bad("scratch bytes must not be negative");
    if (!add(size)) return Status::kOverflow;
  }
  for (const OrderTensor& tensor : problem.tensors) {
    if (tensor.size < 0) return bad("sizes must not be negative");
    if (!add(tensor.size)) return Status::kOverflow;
    if (tensor.producer < -1 || tensor.producer >= n) return bad("a producer is out of range");
    for (const int reader : tensor.readers) {
      if (reader <= tensor.producer || reader < 0 || reader >= n) return bad("a reader must come after the producer");
    }
  }
  for (int op = 0; op < n; ++op) {
    for (const int p : problem.before[static_cast<std::size_t>(op)]) {
      if (p < 0 || p >= op) return bad("operators must be listed after what they need");
    }
  }
  return Status::kSolved;
}

class Solver {
 public:
  Solver(const OrderProblem& problem, std::int64_t budget)
      : problem_(problem), facts_(order::gather(problem)), budget_(budget) {}

  OrderResult run() {
    split();
    std::vector<std::size_t> hard = by_peak();
    for (const std::int64_t share : {budget_ / 16, budget_}) {
      for (const std::size_t i : hard) improve(stretches_[i], share);
    }
    return assembled();
  }

 private:
  // Parts with what their shipped order needs; the largest need of a part of one operator cannot be avoided.
  void split() {
    int begin = 0;
    for (const int end : order::forced_ends(facts_)) {
      Stretch stretch{begin, end, 0, 0, {}, false};
      for (int op = begin; op < end; ++op) {
        stretch.peak = std::max(stretch.peak, facts_.needs[static_cast<std::size_t>(op)]);
      }
      if (end - begin == 1) {
        stretch.lower_bound = stretch.peak;
        stretch.proven = true;
      }
      floor_ = std::max(floor_, stretch.lower_bound);
      stretches_.push_back(std::move(stretch));
      begin = end;
    }
  }

  std::vector<std::size_t> by_peak() const {
    std::vector<std::size_t> hard;
    for (std::size_t i = 0; i < stretches_.size(); ++i) {
      if (!stretches_[i].proven) hard.push_back(i);
    }
    std::stable_sort(hard.begin(), hard.end(),
                     [this](std::size_t a, std::size_t b) { return stretches_[a].peak > stretches_[b].peak; });
    return hard;
  }

  void improve(Stretch& stretch, std::int64_t share) {
    if (stretch.proven || stretch.peak <= floor_) return;
    Part raw = order::make_part(problem_, facts_, stretch.begin, stretch.end);
    const Part part = order::order_twins(order::contract(std::move(raw)));
    raise(stretch, order::cut_bound(part, stretch.peak));
    const std::int64_t budget = std::min(share, budget_ - nodes_);
    if (stretch.peak <= floor_ || budget <= 0) return;
    const Found found = order::order_part(part, floor_, stretch.peak, budget);
    nodes_ += found.nodes;
    stretch.proven = found.proven;
    if (!found.units.empty()) {
      stretch.order.clear();
      for (const int u : found.units) {
        const auto& ops = part.units[static_cast<std::size_t>(u)].ops;
        stretch.order.insert(stretch.order.end(), ops.begin(), ops.end());
      }
      stretch.peak = found.peak;
    }
    raise(stretch, found.lower_bound);
  }

  void raise(Stretch& stretch, Bytes bound) {
    stretch.lower_bound = std::max(stretch.lower_bound, std::min(bound, stretch.peak));
    floor_ = std::max(floor_, stretch.lower_bound);
  }

  OrderResult assembled() const {
    OrderResult result;
    const Bytes shipped = facts_.needs.empty() ? 0 : *std::max_element(facts_.needs.begin(), facts_.needs.end());
    for (const Stretch& stretch : stretches_) result.peak = std::max(result.peak, stretch.peak);
    result.lower_bound = std::min(floor_, result.peak);
    result.nodes = nodes_;
    result.order.resize(facts_.needs.size());
    std::iota(result.order.begin(), result.order.end(), 0);
    if (result.peak == shipped) return result;
    for (const Stretch& stretch : stretches_) {
      const auto first = facts_.needs.begin();
      const Bytes peak = *std::max_element(first + stretch.begin, first + stretch.end);
      if (peak <= result.peak) continue;
      std::copy(stretch.order.begin(), stretch.order.end(), result.order.begin() + stretch.begin);
    }
    return result;
  }

  const OrderProblem& problem_;
  Facts facts_;
  std::vector<Stretch> stretches_;
  std::int64_t budget_;
  std::int64_t nodes_ = 0;
  Bytes floor_ = 0;  // Largest peak that some part cannot avoid; none needs to be better than that.
};

// The same problem with one operator that needs nothing moved to the front and made the first to run.
OrderProblem with_first(const OrderProblem& problem, const Facts& facts, int first) {
  const auto number = [first](int op) { return op == first ? 0 : op < first ? op + 1 : op; };
  OrderProblem moved = problem;
  std::rotate(moved.scratch.begin(), moved.scratch.begin() + first, moved.scratch.begin() + first + 1);
  std::rotate(moved.before.begin(), moved.before.begin() + first, moved.before.begin() + first + 1);
  for (std::size_t op = 0; op < moved.before.size(); ++op) {
    for (int& p : moved.before[op]) p = number(p);
  }
  for (std::size_t op = 0; op < facts.preds.size(); ++op) {
    const int placed = number(static_cast<int>(op));
    if (facts.preds[op].empty() && placed != 0) moved.before[static_cast<std::size_t>(placed)].push_back(0);
  }
  for (OrderTensor& tensor : moved.tensors) {
    if (tensor.producer >= 0) tensor.producer = number(tensor.producer);
    for (int& reader : tensor.readers) reader = number(reader);
  }
  return moved;
}

// Inputs that nobody reads live in the first step only: which operator is the first then matters by itself.
OrderResult solve_with_first(const OrderProblem& problem, const Facts& facts, OrderResult free, std::int64_t budget) {
  const Bytes extra = facts.first_extra;
  const auto first_need = [&](int op) {
    const auto i = static_cast<std::size_t>(op);
    Bytes need = facts.live.front() + extra + facts.scratch[i];
    for (const int t : facts.writes[i]) need += problem.tensors[static_cast<std::size_t>(t)].size;
    return need;
  };
  std::vector<std::pair<Bytes, int>> sources;
  for (std::size_t op = 0; op < facts.preds.size(); ++op) {
    if (facts.preds[op].empty()) sources.emplace_back(first_need(static_cast<int>(op)), static_cast<int>(op));
  }
  std::sort(sources.begin(), sources.end());
  OrderResult best = free;
  best.peak = std::max(free.peak, first_need(free.order.front()));
  const Bytes floor = std::max(free.lower_bound, sources.front().first);
  best.lower_bound = best.peak;
  for (const auto& [need, op] : sources) {
    if (best.peak <= floor || need >= best.peak) break;
    OrderResult forced = Solver(with_first(problem, facts, op), std::max<std::int64_t>(0, budget - best.nodes)).run();
    best.nodes += forced.nodes;
    best.lower_bound = std::min(best.lower_bound, std::max(need, forced.lower_bound));
    if (std::max(need, forced.peak) >= best.peak) continue;
    best.peak = std::max(need, forced.peak);
    for (int& placed : forced.order) placed = placed == 0 ? op : placed <= op ? placed - 1 : placed;
    best.order = std::move(forced.order);
  }
  best.lower_bound = std::max(floor, std::min(best.lower_bound, best.peak));
  return best;
}

}  // namespace

Bytes order_peak(const OrderProblem& problem, const std::vector<int>& order) {
  std::vector<std::size_t> place(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) place[static_cast<std::size_t>(order[i])] = i;
  const auto step = [&](int op) { return place[static_cast<std::size_t>(op)]; };
  const std::size_t steps = order.size();
  std::vector<Bytes> change(steps + 1);
  for (const OrderTensor& tensor : problem.tensors) {
    const std::size_t start = tensor.producer < 0 ? 0 : step(tensor.producer);
    std::size_t stop = std::min(start + 1, steps);
    for (const int r : tensor.readers) stop = std::max(stop, step(r) + 1);
    if (tensor.held) stop = steps;
    change[start] += tensor.size;
    change[stop] -= tensor.size;
  }
  Bytes live = 0;
  Bytes peak = 0;
  for (std::size_t i = 0; i < steps; ++i) {
    live += change[i];
    peak = std::max(peak, live + problem.scratch[static_cast<std::size_t>(order[i])]);
  }
  return peak;
}

OrderResult order_search(const OrderProblem& problem, std::int64_t budget) {
  OrderResult result;
  result.status = validate(problem, result.message);
  if (result.status != Status::kSolved || problem.scratch.empty()) return result;
  result = Solver(problem, budget).run();
  const Facts facts = order::gather(problem);
  if (facts.first_extra > 0) result = solve_with_first(problem, facts, std::move(result), budget);
  std::vector<int> shipped(problem.scratch.size());
  std::iota(shipped.begin(), shipped.end(), 0);
  result.peak = order_peak(problem, result.order);
  if (order_peak(problem, shipped) <= result.peak) {
    result.order = std::move(shipped);
    result.peak = order_peak(problem, result.order);
  }
  result.lower_bound = std::min(result.lower_bound, result.peak);
  result.status = result.peak == result.lower_bound ? Status::kSolved : Status::kExhausted;
  return result;
}

}  // namespace thimble
