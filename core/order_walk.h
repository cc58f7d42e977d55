// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "order_part.h"

namespace thimble::order {

// What running a unit now would need, and the live sum that it would leave.
struct Effect {
  Bytes need = 0;
  Bytes live = 0;
};

// A 128-bit name of the set of units that were taken: two sets share one with a probability of 2^-128.
struct Key {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Key&) const = default;
};

// A state of a part that can take units and give them back: which are taken, which may be next, what is live. All that
// a step costs is proportional to the degrees of the unit that moves.
class Walk {
 public:
  Walk(const Part& part, Way way);

  [[nodiscard]] const std::vector<int>& path() const { return path_; }
  [[nodiscard]] const std::vector<int>& ready() const { return ready_; }  // In no particular, but a fixed, order.
  [[nodiscard]] Bytes live() const { return live_; }
  [[nodiscard]] Key key() const { return key_; }
  [[nodiscard]] Key key_with(int unit) const;
  [[nodiscard]] bool complete() const { return path_.size() == part_.units.size(); }
  [[nodiscard]] bool taken(int unit) const { return taken_[static_cast<std::size_t>(unit)]; }
  [[nodiscard]] Effect effect(int unit) const;
  [[nodiscard]] const std::vector<int>& leaders(int unit) const { return sides(unit, !forward_); }
  [[nodiscard]] const std::vector<int>& followers(int unit) const { return sides(unit, forward_); }
  void take(int unit);
  void give_back();

 private:
  [[nodiscard]] const std::vector<int>& sides(int unit, bool succs) const {
    const Unit& seen = part_.units[static_cast<std::size_t>(unit)];
    return succs ? seen.succs : seen.preds;
  }
  void run(const Unit& unit);
  void unrun(const Unit& unit);
  [[nodiscard]] Bytes size(int tensor) const { return part_.tensors[static_cast<std::size_t>(tensor)].size; }
  void add_ready(int unit);
  void drop_ready(int unit);

  const Part& part_;
  std::vector<Key> names_;
  bool forward_;
  std::vector<bool> taken_;
  std::vector<int> waiting_;    // Per unit: how many others must be taken before it.
  std::vector<int> left_;       // Per tensor: readers that have not run, and one more if it outlives the part.
  std::vector<int> ready_;
  std::vector<int> ready_at_;   // Per unit: where it stands in ready_.
  std::vector<int> path_;
  Bytes live_;
  Key key_;
};

}  // namespace thimble::order
