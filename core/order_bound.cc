// SPDX-License-Identifier: Apache-2.0
// Lower bound on the peak of a part. When a unit runs, its ancestors have run and its descendants have not; the order
// is free to have run any of the others, as far as their dependencies allow. The least live sum that any such choice
// gives is a minimum cut:
//
//   start --size--> tensor --inf--> reader     cut when the producer has run and some reader has not
//   unit  --inf---> its needs                  what has run is closed under needs
//
// where "has run" is the side of the start. Added to what the unit itself rises by, it bounds every order.
#include <algorithm>
#include <limits>
#include <numeric>

#include "order_part.h"

namespace thimble::order {

namespace {

constexpr Bytes kInfinite = std::numeric_limits<Bytes>::max() / 4;

// Dinic's maximum flow, without recursion.
class Flow {
 public:
  explicit Flow(int nodes) : head_(static_cast<std::size_t>(nodes), -1) {}

  void edge(int from, int to, Bytes capacity) {
    add(from, to, capacity);
    add(to, from, 0);
  }

  // The value of a maximum flow, or something >= `enough` once it is known to reach that.
  Bytes run(int source, int sink, Bytes enough) {
    Bytes total = 0;
    while (total < enough && levels(source, sink)) {
      next_ = head_;
      while (const Bytes pushed = augment(source, sink)) total += pushed;
    }
    return total;
  }

 private:
  struct Edge {
    int to;
    int next;
    Bytes left;
  };

  void add(int from, int to, Bytes capacity) {
    edges_.push_back({to, head_[static_cast<std::size_t>(from)], capacity});
    head_[static_cast<std::size_t>(from)] = static_cast<int>(edges_.size()) - 1;
  }

  bool levels(int source, int sink) {
    level_.assign(head_.size(), -1);
    level_[static_cast<std::size_t>(source)] = 0;
    std::vector<int> queue{source};
    for (std::size_t i = 0; i < queue.size(); ++i) {
      const int node = queue[i];
      for (int e = head_[static_cast<std::size_t>(node)]; e >= 0; e = edges_[static_cast<std::size_t>(e)].next) {
        const Edge& edge = edges_[static_cast<std::size_t>(e)];
        if (edge.left <= 0 || level_[static_cast<std::size_t>(edge.to)] >= 0) continue;
        level_[static_cast<std::size_t>(edge.to)] = level_[static_cast<std::size_t>(node)] + 1;
        queue.push_back(edge.to);
      }
    }
    return level_[static_cast<std::size_t>(sink)] >= 0;
  }

  // Pushes flow along one path of the level graph; 0 when there is none left.
  Bytes augment(int source, int sink) {
    std::vector<int> path;
    int node = source;
    while (node != sink) {
      int& e = next_[static_cast<std::size_t>(node)];
      while (e >= 0 && !usable(node, edges_[static_cast<std::size_t>(e)])) e = edges_[static_cast<std::size_t>(e)].next;
      if (e >= 0) {
        path.push_back(e);
        node = edges_[static_cast<std::size_t>(e)].to;
        continue;
      }
      if (path.empty()) return 0;
      level_[static_cast<std::size_t>(node)] = -1;
      node = edges_[static_cast<std::size_t>(path.back() ^ 1)].to;
      path.pop_back();
    }
    Bytes pushed = kInfinite;
    for (const int e : path) pushed = std::min(pushed, edges_[static_cast<std::size_t>(e)].left);
    for (const int e : path) {
      edges_[static_cast<std::size_t>(e)].left -= pushed;
      edges_[static_cast<std::size_t>(e ^ 1)].left += pushed;
    }
    return pushed;
  }

  [[nodiscard]] bool usable(int node, const Edge& edge) const {
    return edge.left > 0 && level_[static_cast<std::size_t>(edge.to)] == level_[static_cast<std::size_t>(node)] + 1;
  }

  std::vector<int> head_;
  std::vector<int> next_;
  std::vector<int> level_;
  std::vector<Edge> edges_;
};

constexpr std::size_t kWork = 100'000'000;  // Units and tensors to look at, over all cuts: parts may be huge.
constexpr int kRun = -1;    // Has run: an ancestor.
constexpr int kLater = -2;  // Has not: the unit itself, or a descendant.

class Cuts {
 public:
  explicit Cuts(const Part& part) : part_(part), role_(part.units.size()) {
    Bytes known = 0;
    for (const Tensor& tensor : part.tensors) {
      if (tensor.producer < 0) known += tensor.size;
    }
    rest_ = part.base - known;
  }

  // The least live sum before the unit that any order reaches; at most `enough` is worth knowing exactly.
  Bytes least_live(int unit, Bytes enough) {
    const int free_units = assign_roles(unit);
    Bytes sum = rest_;
    std::vector<int> open;  // Tensors whose state depends on the free units.
    for (std::size_t t = 0; t < part_.tensors.size(); ++t) {
      const int fate = fate_of(part_.tensors[t]);
      if (fate > 0) sum += part_.tensors[t].size;
      if (fate < 0) open.push_back(static_cast<int>(t));
    }
    if (sum >= enough || open.empty()) return sum;
    return sum + flow(free_units, open, enough - sum);
  }

 private:
  int assign_roles(int unit) {
    std::fill(role_.begin(), role_.end(), 0);
    mark(unit, kRun, &Unit::preds);
    mark(unit, kLater, &Unit::succs);
    int count = 0;
    for (int& role : role_) {
      if (role == 0) role = ++count;
    }
    return count;
  }

  void mark(int unit, int role, std::vector<int> Unit::* neighbours) {
    std::vector<int> stack{unit};
    while (!stack.empty()) {
      const int u = stack.back();
      stack.pop_back();
      for (const int v : part_.units[static_cast<std::size_t>(u)].*neighbours) {
        if (role_[static_cast<std::size_t>(v)] != 0) continue;
        role_[static_cast<std::size_t>(v)] = role;
        stack.push_back(v);
      }
    }
    role_[static_cast<std::size_t>(unit)] = kLater;
  }

  [[nodiscard]] int role(int unit) const { return unit < 0 ? kRun : role_[static_cast<std::size_t>(unit)]; }

  // 1 live, 0 not live, -1 depends.
  [[nodiscard]] int fate_of(const Tensor& tensor) const {
    const int producer = role(tensor.producer);
    if (producer == kLater) return 0;
    const auto later = [this](int r) { return role(r) == kLater; };
    const bool wanted = tensor.outlives || std::any_of(tensor.readers.begin(), tensor.readers.end(), later);
    if (producer == kRun && wanted) return 1;
    const auto run = [this](int r) { return role(r) == kRun; };
    const bool done = std::all_of(tensor.readers.begin(), tensor.readers.end(), run);
    return producer == kRun && done ? 0 : -1;
  }

  Bytes flow(int free_units, const std::vector<int>& open, Bytes enough) const {
    const int source = 0;
    const int sink = free_units + 1;
    const auto node = [&](int u) { return role(u) == kRun ? source : role(u) == kLater ? sink : role(u); };
    Flow network(free_units + 2 + static_cast<int>(open.size()));
    int next = sink;
    for (const int t : open) {
      const Tensor& tensor = part_.tensors[static_cast<std::size_t>(t)];
      ++next;
      network.edge(node(tensor.producer), next, tensor.size);
      if (tensor.outlives) network.edge(next, sink, kInfinite);
      for (const int r : tensor.readers) {
        if (role(r) != kRun) network.edge(next, node(r), kInfinite);
      }
    }
    for (std::size_t u = 0; u < role_.size(); ++u) {
      if (role_[u] <= 0) continue;
      for (const int p : part_.units[u].preds) {
        if (role(p) > 0) network.edge(role_[u], role(p), kInfinite);
      }
    }
    return network.run(source, sink, enough);
  }

  const Part& part_;
  std::vector<int> role_;  // Per unit: kRun, kLater, or the number of its node.
  Bytes rest_ = 0;         // Bytes that live all through the part.
};

// What the unit rises by at least, and what it leaves.
Bytes least_hill(const Part& part, const Unit& unit) {
  Bytes now = 0;
  Bytes hill = 0;
  for (const Phase& phase : unit.phases) {
    hill = std::max(hill, now + phase.hill);
    now += phase.delta;
    for (const int t : phase.reads) now -= part.tensors[static_cast<std::size_t>(t)].size;
  }
  return hill;
}

// Live sum plus hill of each unit in the order in which they are numbered: no less than its bound.
std::vector<Bytes> needs_as_numbered(const Part& part) {
  std::vector<int> left(part.tensors.size());
  for (std::size_t t = 0; t < left.size(); ++t) {
    left[t] = static_cast<int>(part.tensors[t].readers.size()) + (part.tensors[t].outlives ? 1 : 0);
  }
  std::vector<Bytes> needs;
  Bytes now = part.base;
  for (const Unit& unit : part.units) {
    Bytes need = now;
    for (const Phase& phase : unit.phases) {
      need = std::max(need, now + phase.hill);
      now += phase.delta;
      for (const int t : phase.reads) {
        if (--left[static_cast<std::size_t>(t)] == 0) now -= part.tensors[static_cast<std::size_t>(t)].size;
      }
    }
    needs.push_back(need);
  }
  return needs;
}

}  // namespace

Bytes cut_bound(const Part& part, Bytes enough) {
  const std::vector<Bytes> needs = needs_as_numbered(part);
  std::vector<int> order(part.units.size());
  std::iota(order.begin(), order.end(), 0);
  const auto need = [&](int u) { return needs[static_cast<std::size_t>(u)]; };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return need(a) > need(b); });
  Cuts cuts(part);
  Bytes bound = std::max(part.base, final_live(part));
  order.resize(std::min(order.size(), 16 + kWork / (part.units.size() + part.tensors.size())));
  for (const int u : order) {
    if (bound >= enough || need(u) <= bound) break;
    const Bytes hill = least_hill(part, part.units[static_cast<std::size_t>(u)]);
    bound = std::max(bound, std::min(enough, cuts.least_live(u, enough - hill) + hill));
  }
  return bound;
}

}  // namespace thimble::order
