// SPDX-License-Identifier: Apache-2.0
// Joins units that some best order runs one after the other: what is left to search are real choices.
//
//   live  |    hill of a                 Rule 1: b rises no higher than a and leaves no more than a did. Moving b
//   sum   |   /\    hill of b            forward to right after a harms nothing in between.
//         |  /  \__/\                    Rule 2, its mirror image: a rises no higher than b and frees nothing on
//         | /        \__  valley         balance. Moving a back to right before b harms nothing in between.
//
// On a chain the two rules leave the hill-valley segments of Liu's generalised pebbling. Tensors that several units
// read are freed by whichever comes last; rule 1 is checked as if they were never freed, rule 2 as if always: in both
// cases every other assumption only makes the inequality stricter in our favour, since the frees of a come before b.
//
// Source: J. Liu, An application of generalized tree pebbling to sparse matrix factorization, SIAM J. Algebraic
// Discrete Methods 8(3), 1987; E. Kayaaslan et al., Scheduling series-parallel task graphs to minimize peak memory,
// Theoretical Computer Science 707, 2018.
#include <algorithm>
#include <numeric>

#include "order_part.h"

namespace thimble::order {

namespace {

constexpr std::size_t kMaxReach = 16384;  // Units up to which ancestors are kept as bits: at most 32 MB.

bool contains(const std::vector<int>& sorted, int item) {
  return std::binary_search(sorted.begin(), sorted.end(), item);
}

void replace(std::vector<int>& sorted, int a, int b, int by) {
  const auto gone = [a, b](int i) { return i == a || i == b; };
  sorted.erase(std::remove_if(sorted.begin(), sorted.end(), gone), sorted.end());
  sorted.insert(std::lower_bound(sorted.begin(), sorted.end(), by), by);
}

// Whether one unit must run before another; for large parts only as far as it can be seen from direct needs.
class Ancestors {
 public:
  explicit Ancestors(const std::vector<Unit>& units) : units_(units), place_(units.size()) {
    std::iota(place_.begin(), place_.end(), std::size_t{0});
    if (units.size() > kMaxReach) return;
    words_ = (units.size() + 63) / 64;
    bits_.assign(words_ * units.size(), 0);
    for (std::size_t u = 0; u < units.size(); ++u) {
      for (const int pred : units[u].preds) {
        const auto p = static_cast<std::size_t>(pred);
        for (std::size_t w = 0; w < words_; ++w) bits_[u * words_ + w] |= bits_[p * words_ + w];
        bits_[u * words_ + p / 64] |= std::uint64_t{1} << (p % 64);
      }
    }
  }

  [[nodiscard]] bool before(int early, int late) const {
    if (words_ == 0) return contains(units_[static_cast<std::size_t>(late)].preds, early);
    const std::size_t e = place_[static_cast<std::size_t>(early)];
    return (bits_[place_[static_cast<std::size_t>(late)] * words_ + e / 64] >> (e % 64) & 1) != 0;
  }

  // The joint unit `into` stands from now on where `like` stood.
  void move(int into, int like) { place_[static_cast<std::size_t>(into)] = place_[static_cast<std::size_t>(like)]; }

 private:
  const std::vector<Unit>& units_;
  std::vector<std::size_t> place_;
  std::vector<std::uint64_t> bits_;
  std::size_t words_ = 0;
};

// The phases of a and then b, those of b from `back` on.
struct Joint {
  std::vector<Phase> phases;
  std::size_t back = 0;
};

struct Extent {
  Bytes front_hill = 0;
  Bytes back_hill = 0;
  Bytes front_net = 0;
  Bytes back_net = 0;
};

class Contractor {
 public:
  explicit Contractor(Part part) : part_(std::move(part)), ancestors_(part_.units), alive_(part_.units.size(), true) {
    readers_of_.resize(part_.units.size());
    for (std::size_t t = 0; t < part_.tensors.size(); ++t) keep_last_readers(t);
    for (Unit& unit : part_.units) settle(unit);
  }

  Part run() {
    bool changed = true;
    while (changed) {
      changed = false;
      for (std::size_t u = 0; u < part_.units.size(); ++u) {
        while (alive_[u] && join_with_successor(static_cast<int>(u))) changed = true;
      }
    }
    return renumbered();
  }

 private:
  Unit& unit(int u) { return part_.units[static_cast<std::size_t>(u)]; }
  Tensor& tensor(int t) { return part_.tensors[static_cast<std::size_t>(t)]; }

  void keep_last_readers(std::size_t t) {
    auto& readers = part_.tensors[t].readers;
    std::vector<int> last;
    for (const int r : readers) {
      const auto later = [&](int other) { return ancestors_.before(r, other); };
      if (std::none_of(readers.begin(), readers.end(), later)) last.push_back(r);
    }
    readers = std::move(last);
    for (const int r : readers) readers_of_[static_cast<std::size_t>(r)].push_back(static_cast<int>(t));
    const int producer = part_.tensors[t].producer;
    if (producer >= 0) readers_of_[static_cast<std::size_t>(producer)].push_back(static_cast<int>(t));
  }

  // Tensors that only this unit frees become part of the change; those that it never frees are not its business.
  void settle(Unit& single) {
    Phase& phase = single.phases.front();
    const int self = static_cast<int>(&single - part_.units.data());
    std::vector<int> open;
    for (const int t : phase.reads) {
      const Tensor& read = tensor(t);
      if (read.outlives || !contains(read.readers, self)) continue;
      if (read.readers.size() == 1) {
        phase.delta -= read.size;
      } else {
        open.push_back(t);
      }
    }
    phase.reads = std::move(open);
  }

  Joint join(int a, int b) {
    Joint joint{unit(a).phases, unit(a).phases.size()};
    joint.phases.insert(joint.phases.end(), unit(b).phases.begin(), unit(b).phases.end());
    for (std::size_t k = joint.back; k < joint.phases.size(); ++k) {
      auto& reads = joint.phases[k].reads;
      std::vector<int> open;
      for (const int t : reads) {
        const bool shared = contains(tensor(t).readers, a);
        if (shared) drop_read(joint, t);
        if (shared && tensor(t).readers.size() == 2) {
          joint.phases[k].delta -= tensor(t).size;
        } else {
          open.push_back(t);
        }
      }
      reads = std::move(open);
    }
    return joint;
  }

  static void drop_read(Joint& joint, int t) {
    for (std::size_t k = 0; k < joint.back; ++k) {
      auto& reads = joint.phases[k].reads;
      reads.erase(std::remove(reads.begin(), reads.end(), t), reads.end());
    }
  }

  // How high front and back rise above the start, and what they leave; `freeing` all that they might free, or nothing.
  Extent extent(const Joint& joint, bool freeing) {
    Extent found;
    Bytes now = 0;
    for (std::size_t k = 0; k < joint.phases.size(); ++k) {
      const Phase& phase = joint.phases[k];
      Bytes change = phase.delta;
      for (const int t : phase.reads) change -= freeing ? tensor(t).size : 0;
      Bytes& hill = k < joint.back ? found.front_hill : found.back_hill;
      hill = std::max(hill, now + phase.hill);
      (k < joint.back ? found.front_net : found.back_net) += change;
      now += change;
    }
    return found;
  }

  bool join_with_successor(int a) {
    for (const int b : unit(a).succs) {
      const bool ready = ready_after(a, b);
      const bool due = due_before(a, b);
      if (!ready && !due) continue;
      const Joint joint = join(a, b);
      const Extent kept = extent(joint, false);
      if (ready && kept.back_hill <= kept.front_hill && kept.back_net <= 0) return merge(a, b, joint, a);
      const Extent freed = extent(joint, true);
      if (due && freed.front_hill <= freed.back_hill && freed.front_net >= 0) return merge(a, b, joint, b);
    }
    return false;
  }

  // Everything that b needs is done once a is.
  bool ready_after(int a, int b) {
    const auto& preds = unit(b).preds;
    return std::all_of(preds.begin(), preds.end(), [&](int p) { return p == a || ancestors_.before(p, a); });
  }

  // Nothing but b and what follows b waits for a.
  bool due_before(int a, int b) {
    const auto& succs = unit(a).succs;
    return std::all_of(succs.begin(), succs.end(), [&](int s) { return s == b || ancestors_.before(b, s); });
  }

  // The joint unit takes a's number; `like` says whose ancestors it has.
  bool merge(int a, int b, Joint joint, int like) {
    unit(a).phases = compressed(std::move(joint.phases));
    unit(a).ops.insert(unit(a).ops.end(), unit(b).ops.begin(), unit(b).ops.end());
    for (const int t : readers_of_[static_cast<std::size_t>(b)]) rename(t, b, a);
    drop_internal(a, b);
    relink(a, b);
    ancestors_.move(a, like);
    alive_[static_cast<std::size_t>(b)] = false;
    return true;
  }

  // A phase that frees nothing by chance can be told together with the next one.
  static std::vector<Phase> compressed(std::vector<Phase> phases) {
    std::vector<Phase> result;
    for (Phase& phase : phases) {
      if (!result.empty() && result.back().reads.empty()) {
        Phase& last = result.back();
        last.hill = std::max(last.hill, last.delta + phase.hill);
        last.delta += phase.delta;
        last.reads = std::move(phase.reads);
      } else {
        result.push_back(std::move(phase));
      }
    }
    return result;
  }

  void rename(int t, int from, int to) {
    Tensor& changed = tensor(t);
    if (changed.producer == from) changed.producer = to;
    if (contains(changed.readers, from)) replace(changed.readers, from, to, to);
  }

  // Tensors that live and die inside the unit, and inputs that only it reads, need no more attention.
  void drop_internal(int a, int b) {
    auto& mine = readers_of_[static_cast<std::size_t>(a)];
    const auto& other = readers_of_[static_cast<std::size_t>(b)];
    mine.insert(mine.end(), other.begin(), other.end());
    std::sort(mine.begin(), mine.end());
    mine.erase(std::unique(mine.begin(), mine.end()), mine.end());
    const auto internal = [&](int t) {
      const Tensor& seen = tensor(t);
      return seen.producer == a && !seen.outlives && seen.readers.size() == 1 && seen.readers.front() == a;
    };
    mine.erase(std::remove_if(mine.begin(), mine.end(), internal), mine.end());
  }

  void relink(int a, int b) {
    const Unit gone = std::move(unit(b));
    for (const int p : gone.preds) {
      if (p != a) replace(unit(p).succs, a, b, a);
    }
    for (const int s : gone.succs) replace(unit(s).preds, a, b, a);
    Unit& kept = unit(a);
    kept.preds.insert(kept.preds.end(), gone.preds.begin(), gone.preds.end());
    kept.succs.insert(kept.succs.end(), gone.succs.begin(), gone.succs.end());
    for (auto* list : {&kept.preds, &kept.succs}) {
      std::sort(list->begin(), list->end());
      list->erase(std::unique(list->begin(), list->end()), list->end());
      list->erase(std::remove_if(list->begin(), list->end(), [=](int u) { return u == a || u == b; }), list->end());
    }
  }

  // The units left, in a valid order that stays close to the shipped one, with dense numbers.
  Part renumbered() {
    const std::vector<int> order = valid_order();
    std::vector<int> number(part_.units.size(), -1);
    Part result{part_.base, {}, std::move(part_.tensors)};
    for (const int u : order) {
      number[static_cast<std::size_t>(u)] = static_cast<int>(result.units.size());
      result.units.push_back(std::move(unit(u)));
    }
    const auto translate = [&](std::vector<int>& list) {
      for (int& u : list) u = number[static_cast<std::size_t>(u)];
      std::sort(list.begin(), list.end());
    };
    for (Unit& kept : result.units) {
      translate(kept.preds);
      translate(kept.succs);
    }
    for (Tensor& kept : result.tensors) {
      const bool internal = kept.producer >= 0 && !alive_[static_cast<std::size_t>(kept.producer)];
      if (internal) {
        kept = {};  // It was dropped while its unit was joined to another.
        continue;
      }
      translate(kept.readers);
      if (kept.producer >= 0) kept.producer = number[static_cast<std::size_t>(kept.producer)];
    }
    return result;
  }

  std::vector<int> valid_order() {
    std::vector<std::size_t> waiting(part_.units.size());
    std::vector<int> order;
    std::vector<int> heap;  // Ready units, smallest number first.
    const auto later = [](int x, int y) { return x > y; };
    for (std::size_t u = 0; u < part_.units.size(); ++u) {
      waiting[u] = part_.units[u].preds.size();
      if (alive_[u] && waiting[u] == 0) heap.push_back(static_cast<int>(u));
    }
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end(), later);
      const int u = heap.back();
      heap.pop_back();
      order.push_back(u);
      for (const int s : unit(u).succs) {
        if (--waiting[static_cast<std::size_t>(s)] != 0) continue;
        heap.push_back(s);
        std::push_heap(heap.begin(), heap.end(), later);
      }
    }
    return order;
  }

  Part part_;
  Ancestors ancestors_;
  std::vector<bool> alive_;
  std::vector<std::vector<int>> readers_of_;  // Per unit, the tensors that it reads or writes.
};

}  // namespace

Part contract(Part part) { return Contractor(std::move(part)).run(); }

}  // namespace thimble::order
