// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "order_part.h"

namespace thimble::order {

namespace {

template <typename T>
void sort_unique(std::vector<T>& items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

void gather_tensors(const OrderProblem& problem, Facts& facts) {
  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    const OrderTensor& tensor = problem.tensors[t];
    for (const int reader : tensor.readers) {
      facts.last_reader[t] = std::max(facts.last_reader[t], reader);
      auto& preds = facts.preds[static_cast<std::size_t>(reader)];
      if (tensor.producer >= 0) preds.push_back(tensor.producer);
      if (tensor.size > 0) facts.reads[static_cast<std::size_t>(reader)].push_back(static_cast<int>(t));
    }
    if (tensor.size == 0) continue;
    const bool dead = tensor.readers.empty() && !tensor.held;
    if (tensor.producer < 0) {
      if (dead) facts.first_extra += tensor.size;
    } else if (dead) {
      facts.scratch[static_cast<std::size_t>(tensor.producer)] += tensor.size;
    } else {
      facts.writes[static_cast<std::size_t>(tensor.producer)].push_back(static_cast<int>(t));
    }
  }
}

void simulate(const OrderProblem& problem, Facts& facts) {
  Bytes live = 0;
  for (const OrderTensor& tensor : problem.tensors) {
    if (tensor.producer < 0 && (tensor.held || !tensor.readers.empty())) live += tensor.size;
  }
  for (std::size_t op = 0; op < facts.scratch.size(); ++op) {
    facts.live.push_back(live);
    for (const int t : facts.writes[op]) live += problem.tensors[static_cast<std::size_t>(t)].size;
    facts.needs.push_back(live + facts.scratch[op]);
    for (const int t : facts.reads[op]) {
      const OrderTensor& tensor = problem.tensors[static_cast<std::size_t>(t)];
      const bool last = facts.last_reader[static_cast<std::size_t>(t)] == static_cast<int>(op);
      if (last && !tensor.held) live -= tensor.size;
    }
  }
}

}  // namespace

Facts gather(const OrderProblem& problem) {
  const std::size_t n = problem.scratch.size();
  Facts facts;
  facts.scratch = problem.scratch;
  facts.preds = problem.before;
  facts.preds.resize(n);
  facts.succs.resize(n);
  facts.reads.resize(n);
  facts.writes.resize(n);
  facts.last_reader.assign(problem.tensors.size(), -1);
  gather_tensors(problem, facts);
  for (std::size_t op = 0; op < n; ++op) {
    sort_unique(facts.reads[op]);
    sort_unique(facts.preds[op]);
    for (const int p : facts.preds[op]) facts.succs[static_cast<std::size_t>(p)].push_back(static_cast<int>(op));
  }
  simulate(problem, facts);
  return facts;
}

}  // namespace thimble::order
