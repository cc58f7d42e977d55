// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "instance.h"

namespace thimble {

enum class Outcome { kFound, kRefuted, kStopped };

struct SearchResult {
  Outcome outcome = Outcome::kStopped;
  std::vector<Bytes> addresses;
  std::int64_t nodes = 0;
};

// What a search learns about where the trouble is, kept from one run and one capacity to the next: per tie-breaking
// rule and section, how often it could not be met.
class Experience {
 public:
  static constexpr int kRules = 3;

  explicit Experience(const Instance& instance) {
    for (auto& trouble : trouble_) trouble.assign(idx(instance.sections.size()), 0);
  }
  std::vector<std::int64_t>& trouble(int rule) { return trouble_[idx(rule)]; }
  // Runs so far; picks the rule and the length of the next run.
  std::int64_t runs = 0;

 private:
  std::array<std::vector<std::int64_t>, kRules> trouble_;
};

// Looks for a placement within `space`, exactly: kRefuted is a proof that there is none. Visits at most `budget`
// nodes, in runs that start afresh with what was learnt.
SearchResult branch_and_bound(const Instance& instance, const Space& space, std::int64_t budget,
                              Experience& experience);

}  // namespace thimble
