// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "order_walk.h"

namespace thimble::order {

// How a set of units is reached best so far.
struct Record {
  int parent = -1;
  int unit = -1;
  int depth = 0;    // Units that have run.
  Bytes value = 0;  // Peak on the way; at most the floor for sets that are open or done.
};

// The sets met so far: numbered records, found by key through open addressing.
class States {
 public:
  States() : slots_(1024, -1) {}

  [[nodiscard]] std::size_t size() const { return records_.size(); }
  Record& operator[](int state) { return records_[static_cast<std::size_t>(state)]; }
  const Record& operator[](int state) const { return records_[static_cast<std::size_t>(state)]; }

  // The state of that key, or -1.
  [[nodiscard]] int find(const Key& key) const { return slots_[slot_of(key)]; }

  int add(const Key& key, const Record& record) {
    if (2 * (records_.size() + 1) > slots_.size()) grow();
    const int state = static_cast<int>(records_.size());
    slots_[slot_of(key)] = state;
    keys_.push_back(key);
    records_.push_back(record);
    return state;
  }

 private:
  [[nodiscard]] std::size_t slot_of(const Key& key) const {
    std::size_t slot = static_cast<std::size_t>(key.low) & (slots_.size() - 1);
    while (slots_[slot] >= 0 && !(keys_[static_cast<std::size_t>(slots_[slot])] == key)) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    return slot;
  }

  void grow() {
    const std::size_t size = 2 * slots_.size();
    slots_.assign(size, -1);
    for (std::size_t i = 0; i < keys_.size(); ++i) slots_[slot_of(keys_[i])] = static_cast<int>(i);
  }

  std::vector<Record> records_;
  std::vector<Key> keys_;
  std::vector<int> slots_;
};

// States above the floor, least value first, then fewest units left, then oldest.
class Waiting {
 public:
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] Bytes least() const { return heap_.front().value; }

  void push(Bytes value, int depth, int state) {
    heap_.push_back({value, depth, state});
    std::push_heap(heap_.begin(), heap_.end());
  }

  std::pair<Bytes, int> pop() {
    std::pop_heap(heap_.begin(), heap_.end());
    const Entry entry = heap_.back();
    heap_.pop_back();
    return {entry.value, entry.state};
  }

 private:
  struct Entry {
    Bytes value;
    int depth;
    int state;

    bool operator<(const Entry& other) const {
      if (value != other.value) return value > other.value;
      return depth != other.depth ? depth < other.depth : state > other.state;
    }
  };

  std::vector<Entry> heap_;
};

}  // namespace thimble::order
