// SPDX-License-Identifier: Apache-2.0
// Where the graph falls into parts that no order can mix.
//
//        b           an operator is forced if every other one either must run before it (its ancestors)
//   a <     > d      or after it (its descendants): then all orders agree on what has run before it.
//        c           Here a and d are; the parts are {a} and {b, c, d}.
#include <algorithm>

#include "order_part.h"

namespace thimble::order {

namespace {

using Lists = std::vector<std::vector<int>>;

// Whether an operator is the only ready one when it comes in the shipped order: all later ones are its descendants.
// Read from the end (feeds and needs exchanged) it says that all earlier ones are its ancestors.
std::vector<bool> alone(const Lists& needs, const Lists& feeds, bool ascending) {
  const int n = static_cast<int>(needs.size());
  std::vector<int> waiting(needs.size());
  std::vector<bool> result(needs.size());
  int ready = 0;
  for (std::size_t op = 0; op < needs.size(); ++op) {
    waiting[op] = static_cast<int>(needs[op].size());
    if (waiting[op] == 0) ++ready;
  }
  for (int step = 0; step < n; ++step) {
    const auto op = static_cast<std::size_t>(ascending ? step : n - 1 - step);
    result[op] = ready == 1;
    --ready;
    for (const int next : feeds[op]) {
      if (--waiting[static_cast<std::size_t>(next)] == 0) ++ready;
    }
  }
  return result;
}

}  // namespace

std::vector<int> forced_ends(const Facts& facts) {
  const int n = static_cast<int>(facts.preds.size());
  const auto first = alone(facts.preds, facts.succs, true);
  const auto last = alone(facts.succs, facts.preds, false);
  std::vector<int> ends;
  for (int op = 0; op < n; ++op) {
    const auto i = static_cast<std::size_t>(op);
    if ((first[i] && last[i]) || op == n - 1) ends.push_back(op + 1);
  }
  return ends;
}

namespace {

// The part's tensors and the way from the problem's numbers to the part's.
class Collector {
 public:
  Collector(const OrderProblem& problem, const Facts& facts, int begin, int end, Part& part)
      : problem_(problem), facts_(facts), begin_(begin), end_(end), part_(part) {}

  // The part's number of a tensor; entered when first met.
  int number(int tensor) {
    const auto at = std::lower_bound(known_.begin(), known_.end(), tensor);
    return static_cast<int>(at - known_.begin());
  }

  void enter_all() {
    for (int op = begin_; op < end_; ++op) {
      const auto i = static_cast<std::size_t>(op);
      known_.insert(known_.end(), facts_.reads[i].begin(), facts_.reads[i].end());
      known_.insert(known_.end(), facts_.writes[i].begin(), facts_.writes[i].end());
    }
    std::sort(known_.begin(), known_.end());
    known_.erase(std::unique(known_.begin(), known_.end()), known_.end());
    for (const int t : known_) {
      const OrderTensor& tensor = problem_.tensors[static_cast<std::size_t>(t)];
      const bool inside = tensor.producer >= begin_;
      const bool outlives = tensor.held || facts_.last_reader[static_cast<std::size_t>(t)] >= end_;
      part_.tensors.push_back({tensor.size, inside ? tensor.producer - begin_ : -1, outlives, {}});
    }
  }

 private:
  const OrderProblem& problem_;
  const Facts& facts_;
  int begin_;
  int end_;
  Part& part_;
  std::vector<int> known_;
};

}  // namespace

Part make_part(const OrderProblem& problem, const Facts& facts, int begin, int end) {
  Part part;
  part.base = facts.live[static_cast<std::size_t>(begin)];
  Collector collector(problem, facts, begin, end, part);
  collector.enter_all();
  for (int op = begin; op < end; ++op) {
    const auto i = static_cast<std::size_t>(op);
    Unit unit;
    unit.ops.push_back(op);
    Phase phase;
    for (const int t : facts.writes[i]) phase.delta += problem.tensors[static_cast<std::size_t>(t)].size;
    phase.hill = phase.delta + facts.scratch[i];
    for (const int t : facts.reads[i]) {
      phase.reads.push_back(collector.number(t));
      part.tensors[static_cast<std::size_t>(phase.reads.back())].readers.push_back(op - begin);
    }
    unit.phases.push_back(std::move(phase));
    for (const int p : facts.preds[i]) {
      if (p >= begin) unit.preds.push_back(p - begin);
    }
    for (const int s : facts.succs[i]) {
      if (s < end) unit.succs.push_back(s - begin);
    }
    part.units.push_back(std::move(unit));
  }
  return part;
}

}  // namespace thimble::order
