// SPDX-License-Identifier: Apache-2.0
// Exact search over the sets of units that have run.
//
// The value of a set is the least peak of any way to reach it. Sets are expanded in the order of their values (the
// floor rises only when nothing below it is left), so the first complete one is optimal, and when the budget runs out
// the floor is a proven lower bound. Among sets of equal value the search dives, cheapest child first.
//
// What keeps it small is a rule to commit: if from a set S a larger set E can be reached without a need above the
// floor, and no set between S and E has a smaller live sum than E, then some best completion of S goes through E, and
// all other children of S are dropped.
//   Proof. live() is a cut function, hence submodular: live(A | E) <= live(A) + live(E) - live(A & E). Take any
//   completion S = S0, S1, ... of S and let it run through the sets Si | E instead. Si & E lies between S and E, so
//   live(Si & E) >= live(E) and live(Si | E) <= live(Si): no later unit needs more than before.
// The sets of fewest units that are reached from S with a live sum of at most live(S) are such E: a smaller sum
// between S and E would itself be reachable (let the way to E leave out what is not in it), with fewer units. The
// same holds if only the descendants of one ready unit are let run, and that is how the search looks for them.
#include <algorithm>

#include "order_states.h"
#include "order_walk.h"

namespace thimble::order {

namespace {

constexpr std::size_t kMaxStates = 14'000'000;  // Bounds the memory to about 1.5 GB.

class Search {
 public:
  Search(const Part& part, Way way, Bytes floor, Bytes ceiling, std::int64_t budget)
      : walk_(part, way), floor_(floor), ceiling_(ceiling), budget_(budget) {}

  Found run() {
    const int root = states_.add(walk_.key(), {-1, -1, 0, walk_.live()});
    if (walk_.live() <= floor_) {
      open_.push_back(root);
    } else if (walk_.live() < ceiling_) {
      waiting_.push(walk_.live(), 0, root);
    }
    while (next_batch()) {
      const int state = open_.back();
      open_.pop_back();
      if (found_.nodes >= budget_ || states_.size() >= kMaxStates) return stopped();
      ++found_.nodes;
      if (expand(state)) return finished();
    }
    found_.proven = true;
    found_.lower_bound = ceiling_;
    return std::move(found_);
  }

 private:
  // Makes sure that something is open, raising the floor when it must.
  bool next_batch() {
    while (open_.empty()) {
      if (waiting_.empty()) return false;
      floor_ = std::max(floor_, waiting_.least());
      while (!waiting_.empty() && waiting_.least() <= floor_) {
        const auto [value, state] = waiting_.pop();
        if (states_[state].value == value) open_.push_back(state);
      }
      std::reverse(open_.begin(), open_.end());  // Deepest on top.
    }
    return true;
  }

  Found stopped() {
    found_.lower_bound = floor_;
    return std::move(found_);
  }

  Found finished() {
    found_.units = walk_.path();
    found_.lower_bound = floor_;
    found_.proven = true;
    return std::move(found_);
  }

  // Brings the walk to a state.
  void go(int state) {
    chain_.clear();
    int s = state;
    while (!on_path(s)) {
      chain_.push_back(s);
      s = states_[s].parent;
    }
    const auto depth = static_cast<std::size_t>(states_[s].depth);
    while (walk_.path().size() > depth) walk_.give_back();
    trail_.resize(depth + 1);
    trail_[depth] = s;
    for (std::size_t i = chain_.size(); i-- > 0;) {
      walk_.take(states_[chain_[i]].unit);
      trail_.push_back(chain_[i]);
    }
  }

  [[nodiscard]] bool on_path(int state) const {
    const auto depth = static_cast<std::size_t>(states_[state].depth);
    if (depth == 0) return true;
    return depth < trail_.size() && depth <= walk_.path().size() && trail_[depth] == state;
  }

  // True when the walk is complete.
  bool expand(int state) {
    go(state);
    while (!walk_.complete()) {
      const bool committed = commit();
      if (!committed) break;
      if (!advance()) return false;
    }
    if (walk_.complete()) return true;
    branch();
    return false;
  }

  // Looks for a set to commit to; the walk stays where it is and the way is left in way_.
  bool commit() {
    const Bytes now = walk_.live();
    for (const int u : walk_.ready()) {
      const Effect effect = walk_.effect(u);
      if (effect.need <= floor_ && effect.live <= now) {
        way_.assign(1, u);
        return true;
      }
    }
    const std::vector<int> ready = walk_.ready();
    for (const int u : ready) {
      if (look_ahead(u, now)) return true;
    }
    return false;
  }

  // Lets only u and what it enables run, fewest units first, within a small number of steps.
  bool look_ahead(int u, Bytes target) {
    int steps = kLookSteps;
    for (int limit = 2; limit <= kLookDepth && steps > 0; ++limit) {
      way_.assign(1, u);
      if (walk_.effect(u).need > floor_) return false;
      deeper_ = false;
      if (descend(limit, target, steps)) return true;
      if (!deeper_) return false;
    }
    return false;
  }

  // Depth-first below way_ (its last unit not yet run), to exactly `limit` units, in every order of them.
  bool descend(int limit, Bytes target, int& steps) {
    const std::size_t start = walk_.path().size();
    choices_.clear();
    run_and_collect();
    while (!choices_.empty()) {
      Choices& mine = choices_.back();
      if (mine.next == mine.units.size() || steps <= 0) {
        choices_.pop_back();
        walk_.give_back();
        way_.pop_back();
        continue;
      }
      const int v = mine.units[mine.next++];
      const Effect effect = walk_.effect(v);
      if (effect.need > floor_) continue;
      --steps;
      way_.push_back(v);
      if (static_cast<int>(way_.size()) < limit) {
        run_and_collect();
      } else if (effect.live <= target) {
        while (walk_.path().size() > start) walk_.give_back();
        return true;
      } else {
        way_.pop_back();
        deeper_ = true;
      }
    }
    return false;
  }

  // Runs the last unit of way_ and enters what may follow it: what else was open before, and what it has enabled.
  void run_and_collect() {
    const int last = way_.back();
    Choices next;
    if (!choices_.empty()) {
      for (const int v : choices_.back().units) {
        if (v != last) next.units.push_back(v);
      }
    }
    const std::size_t before = walk_.ready().size();
    walk_.take(last);
    const auto& ready = walk_.ready();
    next.units.insert(next.units.end(), ready.begin() + static_cast<std::ptrdiff_t>(before) - 1, ready.end());
    choices_.push_back(std::move(next));
  }

  // Runs way_, entering each set on it as done; false if one was known, then all has been said about it.
  bool advance() {
    for (const int u : way_) {
      const int parent = trail_.back();
      const Key key = walk_.key_with(u);
      int state = states_.find(key);
      const Record record{parent, u, static_cast<int>(walk_.path().size()) + 1, floor_};
      if (state < 0) {
        state = states_.add(key, record);
      } else if (states_[state].value <= floor_) {
        return false;
      } else {
        states_[state] = record;
      }
      walk_.take(u);
      trail_.push_back(state);
    }
    return true;
  }

  // Enters the children: those within the floor are opened, best on top; those below the ceiling wait.
  void branch() {
    children_.clear();
    for (const int u : walk_.ready()) {
      const Effect effect = walk_.effect(u);
      const Bytes value = std::max(effect.need, floor_);
      if (value >= ceiling_ && value > floor_) continue;
      const Key key = walk_.key_with(u);
      int state = states_.find(key);
      const Record record{trail_.back(), u, static_cast<int>(walk_.path().size()) + 1, value};
      if (state < 0) {
        state = states_.add(key, record);
      } else if (states_[state].value <= value) {
        continue;
      } else {
        states_[state] = record;
      }
      if (value > floor_) {
        waiting_.push(value, record.depth, state);
      } else {
        children_.push_back({effect.live, u, state});
      }
    }
    std::sort(children_.begin(), children_.end(), [](const Child& a, const Child& b) {
      return a.live != b.live ? a.live > b.live : a.unit > b.unit;
    });
    for (const Child& child : children_) open_.push_back(child.state);
  }

  struct Child {
    Bytes live;
    int unit;
    int state;
  };

  struct Choices {
    std::vector<int> units;
    std::size_t next = 0;
  };

  static constexpr int kLookDepth = 8;
  static constexpr int kLookSteps = 40;

  Walk walk_;
  States states_;
  Waiting waiting_;
  std::vector<int> open_;
  std::vector<int> trail_;  // State ids along the walk's path, the root first.
  std::vector<int> chain_;
  std::vector<int> way_;
  std::vector<Child> children_;
  std::vector<Choices> choices_;
  bool deeper_ = false;
  Bytes floor_;
  Bytes ceiling_;
  std::int64_t budget_;
  Found found_;
};

}  // namespace

Found search(const Part& part, Way way, Bytes floor, Bytes ceiling, std::int64_t budget) {
  Found found = Search(part, way, floor, ceiling, budget).run();
  if (way == Way::kBackward) std::reverse(found.units.begin(), found.units.end());
  return found;
}

}  // namespace thimble::order
