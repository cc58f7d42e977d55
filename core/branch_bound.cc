// SPDX-License-Identifier: Apache-2.0
// Exact search for a placement within a given space.
//
// If there is a placement at all, there is one with the least sum of addresses, and in it no item can move down:
//   (a) every item lies at the lowest address that what is below it allows (it is supported), and
//   (b) no lower address is free for it (every lower address is blocked by some neighbour).
// The search looks for such a placement only. It keeps a lower bound on each item's address and repeats: take the
// open item with the least bound. Nothing can get below it any more. Either it lies at its bound: then its open
// neighbours lie above it. Or it does not: then by (a) it lies on some open neighbour, which gives it a higher bound,
// and by (b) some neighbour must still be able to block the address it left.
//
//     address        open items of one section, stacked in any order, need at least
//       ^            least bound + sum of their steps <= top of the space;
//       |  +---+     an item whose bound is too high to be the lowest of them
//       |  | c |     lies above the lowest candidate's top
//       +--+-+-+--+
//       | a  | |b |
//       +----+-+--+--> sections
//
// Every bound remembers the levels of the decisions it follows from. When both branches fail, the search returns to
// the deepest decision that had a part in it, and passes over alternatives that could not help (conflict-directed
// backjumping): regions of time that do not touch are searched one by one although they are filled in turns. Runs
// are restarted, with ties broken towards the sections that caused failures before.
//
// Source: M. D. Moffitt, "MiniMalloc", ASPLOS 2023 (canonical placements, spatial inference); P. Prosser, "Hybrid
// algorithms for the constraint satisfaction problem", 1993 (backjumping); F. Boussemart et al., "Boosting
// systematic search by weighting constraints", ECAI 2004. The support and blocking rules are our own.
#include "branch_bound.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace thimble {
namespace {

using Word = std::uint64_t;
constexpr int kWordBits = 64;
// A run stops when its explanations outgrow this many words (256 MB).
constexpr std::size_t kMaxWords = std::size_t{1} << 25;
// What a refuted section adds to its trouble; an item out of space shares it among its sections.
constexpr std::int64_t kTrouble = 1024;

// 1 1 2 1 1 2 4 1 1 2 1 1 2 4 8 ...; Source: Luby, Sinclair, Zuckerman, 1993.
std::int64_t luby(std::int64_t i) {
  std::int64_t power = 1;
  while (2 * power - 1 < i) power *= 2;
  while (2 * power - 1 != i) {
    i -= power - 1;
    power = 1;
    while (2 * power - 1 < i) power *= 2;
  }
  return power;
}

// Sets of decision levels, stacked in one block and named by position; the first is empty.
class LevelSets {
 public:
  explicit LevelSets(int levels) : words_(idx(levels) / kWordBits + 1), pool_(words_, 0) {}

  std::size_t push() {
    pool_.resize(pool_.size() + words_, 0);
    return pool_.size() / words_ - 1;
  }
  std::size_t push_copy(std::size_t of) {
    const std::size_t name = push();
    std::copy_n(at(of), words_, at(name));
    return name;
  }
  void join(std::size_t into, std::size_t from) {
    Word* target = at(into);
    const Word* source = at(from);
    for (std::size_t w = 0; w < words_; ++w) target[w] |= source[w];
  }
  void add(std::size_t set, int level) { at(set)[idx(level) / kWordBits] |= bit(level); }
  void remove(std::size_t set, int level) { at(set)[idx(level) / kWordBits] &= ~bit(level); }
  bool has(std::size_t set, int level) { return (at(set)[idx(level) / kWordBits] & bit(level)) != 0; }
  void clear(std::size_t set) { std::fill_n(at(set), words_, 0); }
  void assign(std::size_t set, std::size_t from) { std::copy_n(at(from), words_, at(set)); }
  [[nodiscard]] std::size_t mark() const { return pool_.size(); }
  void release(std::size_t mark) { pool_.resize(mark); }

 private:
  Word* at(std::size_t name) { return pool_.data() + name * words_; }
  static Word bit(int level) { return Word{1} << (idx(level) % kWordBits); }

  std::size_t words_;
  std::vector<Word> pool_;
};

constexpr std::size_t kEmptySet = 0;
constexpr std::size_t kConflict = 1;  // Why the last propagation or subtree failed.

class Run {
 public:
  Run(const Instance& instance, const Space& space, int rule, std::vector<std::int64_t>& trouble)
      : in_(instance),
        space_(space),
        rule_(rule),
        trouble_(trouble),
        sets_(instance.count() + 1),
        bound_(idx(instance.count()), 0),
        why_(idx(instance.count()), kEmptySet),
        level_(idx(instance.count()), -1),
        open_sum_(idx(instance.sections.size()), 0),
        is_queued_(idx(instance.sections.size()), false) {
    sets_.push();
    for (const Segment& segment : space) top_ = std::max(top_, segment.high);
    for (int s = 0; s < in_.sections.size(); ++s) {
      for (const int i : in_.sections.row(s)) open_sum_[idx(s)] += in_.step[idx(i)];
    }
  }

  SearchResult search(std::int64_t limit) {
    limit_ = limit;
    Outcome outcome = Outcome::kRefuted;
    if (settle_start()) outcome = descend(0);
    return {outcome, std::move(found_), nodes_};
  }

 private:
  struct Change {
    int item;
    Bytes bound;
    std::size_t why;
  };
  // `item` does not lie at `address` because of the set `why`; `watch` can still block that address.
  struct Skip {
    int item;
    Bytes address;
    std::size_t why;
    int watch;
  };
  struct Mark {
    std::size_t changes;
    std::size_t skips;
    std::size_t sets;
  };

  bool is_open(int item) const { return level_[idx(item)] < 0; }

  bool settle_start() {
    for (int i = 0; i < in_.count(); ++i) {
      bound_[idx(i)] = in_.lift(i, 0, space_);
      if (bound_[idx(i)] == kNowhere) return false;
    }
    for (int i = 0; i < in_.count(); ++i) {
      if (!raise_twin(i)) return false;
    }
    for (int s = 0; s < in_.sections.size(); ++s) enqueue(s);
    return propagate();
  }

  void enqueue(int section) {
    if (is_queued_[idx(section)]) return;
    is_queued_[idx(section)] = true;
    queue_.push_back(section);
  }

  void blame_item(int item) {
    const auto span = in_.spans.row(item);
    for (const int s : span) trouble_[idx(s)] += kTrouble / static_cast<std::int64_t>(span.size());
  }

  // Raises the bound of an open item to the lowest address from `address` on; false if there is none left.
  bool raise(int item, Bytes address, std::size_t why) {
    const Bytes bound = in_.lift(item, address, space_);
    if (bound == kNowhere) {
      sets_.assign(kConflict, why);
      blame_item(item);
      return false;
    }
    changes_.push_back({item, bound_[idx(item)], why_[idx(item)]});
    bound_[idx(item)] = bound;
    why_[idx(item)] = why;
    for (const int s : in_.spans.row(item)) enqueue(s);
    return raise_twin(item);
  }

  // Of items that are equal, the first lies below the next.
  bool raise_twin(int item) {
    const int next = in_.twin[idx(item)];
    if (next < 0 || !is_open(next) || !is_open(item)) return true;
    const Bytes least = bound_[idx(item)] + in_.step[idx(item)];
    return bound_[idx(next)] >= least || raise(next, least, why_[idx(item)]);
  }

  bool propagate() {
    while (!queue_.empty()) {
      const int section = queue_.back();
      queue_.pop_back();
      is_queued_[idx(section)] = false;
      if (!check_section(section)) {
        for (const int s : queue_) is_queued_[idx(s)] = false;
        queue_.clear();
        return false;
      }
    }
    return blockers_remain();
  }

  bool check_section(int section) {
    // The lowest open item of the section cannot start above this.
    const Bytes latest = top_ - open_sum_[idx(section)] + in_.pad[idx(section)];
    Bytes least = kNowhere;
    Bytes least_top = kNowhere;
    bool has_late = false;
    for (const int i : in_.sections.row(section)) {
      if (!is_open(i)) continue;
      const Bytes bound = bound_[idx(i)];
      least = std::min(least, bound);
      if (bound > latest) {
        has_late = true;
      } else {
        least_top = std::min(least_top, bound + in_.step[idx(i)]);
      }
    }
    if (least == kNowhere) return true;
    if (least > latest) {
      sets_.clear(kConflict);
      for (const int i : in_.sections.row(section)) {
        if (is_open(i)) sets_.join(kConflict, why_[idx(i)]);
      }
      trouble_[idx(section)] += kTrouble;
      return false;
    }
    return !has_late || raise_late(section, latest, least_top);
  }

  // Open items that cannot be the lowest of the section lie above one that can.
  bool raise_late(int section, Bytes latest, Bytes least_top) {
    std::size_t why = kEmptySet;
    for (const int i : in_.sections.row(section)) {
      if (!is_open(i) || bound_[idx(i)] <= latest || bound_[idx(i)] >= least_top) continue;
      if (why == kEmptySet) {
        why = sets_.push();
        for (const int j : in_.sections.row(section)) {
          if (is_open(j)) sets_.join(why, why_[idx(j)]);
        }
      }
      if (!raise(i, least_top, why)) return false;
    }
    return true;
  }

  // Whether `other`, a neighbour of `item`, lies or may yet lie across the item put at `address`.
  bool can_block(int item, Bytes address, int other, std::size_t edge) const {
    const Bytes bound = bound_[idx(other)];
    if (bound >= address + in_.up(item, edge)) return false;
    return is_open(other) || bound + in_.down(other, edge) > address;
  }

  bool blockers_remain() {
    for (Skip& skip : skips_) {
      const auto row = in_.neighbours.row(skip.item);
      const auto blocks = [&](int p) {
        return can_block(skip.item, skip.address, row[idx(p)], in_.edge(skip.item, idx(p)));
      };
      if (skip.watch >= 0 && blocks(skip.watch)) continue;
      skip.watch = -1;
      for (int p = 0; p < static_cast<int>(row.size()) && skip.watch < 0; ++p) {
        if (blocks(p)) skip.watch = p;
      }
      if (skip.watch < 0) {
        explain_free(skip);
        return false;
      }
    }
    return true;
  }

  // The address that an item left stays free: each neighbour lies below it by a decision, or above it by its bound.
  void explain_free(const Skip& skip) {
    sets_.assign(kConflict, skip.why);
    const auto row = in_.neighbours.row(skip.item);
    for (std::size_t p = 0; p < row.size(); ++p) {
      const std::size_t edge = in_.edge(skip.item, p);
      if (bound_[idx(row[p])] >= skip.address + in_.up(skip.item, edge)) {
        sets_.join(kConflict, why_[idx(row[p])]);
      } else {
        sets_.add(kConflict, level_[idx(row[p])]);
      }
    }
    blame_item(skip.item);
  }

  Mark mark() const { return {changes_.size(), skips_.size(), sets_.mark()}; }

  void undo(const Mark& mark) {
    while (changes_.size() > mark.changes) {
      const Change& change = changes_.back();
      bound_[idx(change.item)] = change.bound;
      why_[idx(change.item)] = change.why;
      changes_.pop_back();
    }
    skips_.resize(mark.skips);
    sets_.release(mark.sets);
  }

  std::int64_t trouble_of(int item) const {
    std::int64_t most = 0;
    for (const int s : in_.spans.row(item)) most = std::max(most, trouble_[idx(s)]);
    return most;
  }

  // Ties between open items at the least bound: most trouble first, then by the rule of this run.
  std::tuple<std::int64_t, Bytes, Bytes> rank(int item) const {
    const auto span = static_cast<Bytes>(in_.spans.row(item).size());
    const Bytes size = in_.size[idx(item)];
    const Bytes area = span == 0 || size <= kMaxBytes / span ? size * span : kMaxBytes;
    if (rule_ == 0) return {trouble_of(item), span, size};
    if (rule_ == 1) return {trouble_of(item), size, span};
    return {trouble_of(item), area, span};
  }

  int pick() const {
    Bytes least = kNowhere;
    int best = -1;
    for (int i = 0; i < in_.count(); ++i) {
      if (!is_open(i) || bound_[idx(i)] > least) continue;
      if (bound_[idx(i)] < least || rank(i) > rank(best)) best = i;
      least = bound_[idx(i)];
    }
    return best >= 0 && in_.has_zero_steps ? lowest_below(best) : best;
  }

  // Follows distances of zero down to an item that nothing can lie below. They form no cycle.
  int lowest_below(int item) const {
    for (bool moved = true; moved;) {
      moved = false;
      const auto row = in_.neighbours.row(item);
      for (std::size_t p = 0; p < row.size() && !moved; ++p) {
        const int other = row[p];
        if (!is_open(other) || bound_[idx(other)] + in_.down(other, in_.edge(item, p)) > bound_[idx(item)]) continue;
        item = other;
        moved = true;
      }
    }
    return item;
  }

  bool place(int item, int level) {
    level_[idx(item)] = level;
    for (const int s : in_.spans.row(item)) {
      open_sum_[idx(s)] -= in_.step[idx(item)];
      enqueue(s);
    }
    const Bytes at = bound_[idx(item)];
    const std::size_t why = sets_.push_copy(why_[idx(item)]);
    sets_.add(why, level);
    const auto row = in_.neighbours.row(item);
    for (std::size_t p = 0; p < row.size(); ++p) {
      const int other = row[p];
      const std::size_t edge = in_.edge(item, p);
      if (!is_open(other) || bound_[idx(other)] >= at + in_.up(item, edge)) continue;
      // The neighbour cannot lie below: by its own size alone, or by its bound.
      std::size_t why_other = why;
      if (in_.down(other, edge) <= at) {
        why_other = sets_.push_copy(why);
        sets_.join(why_other, why_[idx(other)]);
      }
      if (!raise(other, at + in_.up(item, edge), why_other)) return abandon();
    }
    return propagate();
  }

  bool abandon() {
    for (const int s : queue_) is_queued_[idx(s)] = false;
    queue_.clear();
    return false;
  }

  void unplace(int item) {
    level_[idx(item)] = -1;
    for (const int s : in_.spans.row(item)) open_sum_[idx(s)] += in_.step[idx(item)];
  }

  // The item does not lie at its bound because of the set kConflict; so it lies on an open neighbour.
  bool skip(int item) {
    const Bytes address = bound_[idx(item)];
    const std::size_t why = sets_.push_copy(kConflict);
    sets_.join(why, why_[idx(item)]);
    const auto row = in_.neighbours.row(item);
    Bytes support = kNowhere;
    for (std::size_t p = 0; p < row.size(); ++p) {
      if (!is_open(row[p])) continue;
      const Bytes top = bound_[idx(row[p])] + in_.down(row[p], in_.edge(item, p));
      support = std::min(support, std::max(top, address + 1));
    }
    const std::size_t why_raised = sets_.push_copy(why);
    for (std::size_t p = 0; p < row.size(); ++p) {
      // A neighbour that reaches the new bound from the very bottom needs no reason.
      if (in_.down(row[p], in_.edge(item, p)) >= support) continue;
      if (is_open(row[p])) {
        sets_.join(why_raised, why_[idx(row[p])]);
      } else {
        sets_.add(why_raised, level_[idx(row[p])]);
      }
    }
    if (support == kNowhere) {
      sets_.assign(kConflict, why_raised);
      return false;
    }
    skips_.push_back({item, address, why, -1});
    return raise(item, support, why_raised) ? propagate() : abandon();
  }

  // Searches below the current decisions. On kRefuted, kConflict names the levels above that are to blame.
  Outcome descend(int level) {
    const Mark start = mark();
    Outcome outcome = Outcome::kStopped;
    while (nodes_ < limit_ && sets_.mark() < kMaxWords) {
      ++nodes_;
      const int item = pick();
      if (item < 0) {
        found_ = bound_;
        return Outcome::kFound;
      }
      const Mark before = mark();
      outcome = place(item, level) ? descend(level + 1) : Outcome::kRefuted;
      if (outcome == Outcome::kFound) return outcome;
      undo(before);
      unplace(item);
      if (outcome == Outcome::kStopped || !sets_.has(kConflict, level)) break;
      sets_.remove(kConflict, level);
      if (!skip(item)) break;
      outcome = Outcome::kStopped;
    }
    undo(start);
    return outcome;
  }

  const Instance& in_;
  const Space& space_;
  int rule_;
  std::vector<std::int64_t>& trouble_;
  LevelSets sets_;
  std::vector<Bytes> bound_;       // Least address; the address itself once placed.
  std::vector<std::size_t> why_;   // Set of levels that the bound follows from.
  std::vector<int> level_;         // Decision that placed the item, or -1 while it is open.
  std::vector<Bytes> open_sum_;    // Per section: steps of its open items together.
  std::vector<bool> is_queued_;
  std::vector<int> queue_;
  std::vector<Change> changes_;
  std::vector<Skip> skips_;
  std::vector<Bytes> found_;
  Bytes top_ = 0;
  std::int64_t nodes_ = 0;
  std::int64_t limit_ = 0;
};

}  // namespace

SearchResult branch_and_bound(const Instance& instance, const Space& space, std::int64_t budget,
                              Experience& experience) {
  // A run must be able to reach the bottom: one node per item, and some to go wrong.
  const std::int64_t unit = 300 + instance.count();
  SearchResult total;
  while (total.nodes < budget) {
    const int rule = static_cast<int>(experience.runs % Experience::kRules);
    const std::int64_t length = unit * luby(experience.runs / Experience::kRules + 1);
    ++experience.runs;
    Run run(instance, space, rule, experience.trouble(rule));
    SearchResult result = run.search(std::min(length, budget - total.nodes));
    total.nodes += result.nodes;
    if (result.outcome != Outcome::kStopped) {
      result.nodes = total.nodes;
      return result;
    }
  }
  return total;
}

}  // namespace thimble
