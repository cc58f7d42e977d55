// SPDX-License-Identifier: Apache-2.0
#include "check.h"
#include "overlap.h"
#include "pack.h"

using namespace thimble;

namespace {

constexpr std::int64_t kBudget = 100'000;

Buffer buffer(Bytes size, Time start, Time stop) { return {size, 1, {start, stop}, {}, kNone, {}}; }

void check_valid(const Problem& problem, const Solution& solution) {
  for (std::size_t i = 0; i < problem.buffers.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const Buffer& a = problem.buffers[i];
      const Buffer& b = problem.buffers[j];
      if (solution.arenas[i] != solution.arenas[j] || !a.lifetime.overlaps(b.lifetime)) continue;
      CHECK(solution.offsets[i] + a.size <= solution.offsets[j] || solution.offsets[j] + b.size <= solution.offsets[i]);
    }
  }
}

// MiniMalloc's example: five buffers of 4 bytes fit into 12.
//
//   8  | b1 |    b2     |
//   4  |      b3        |     b4      |
//   0  |             b5               |
void test_least_height() {
  Problem problem;
  problem.buffers = {buffer(4, 0, 3), buffer(4, 3, 9), buffer(4, 0, 9), buffer(4, 9, 21), buffer(4, 0, 21)};
  const Solution solution = pack(problem, kBudget);
  CHECK(solution.status == Status::kSolved);
  CHECK(solution.height == 12 && solution.lower_bound == 12);
  check_valid(problem, solution);
}

// First fit by size leaves a hole here; the optimum needs the small ones at both ends.
void test_search_beats_first_fit() {
  Problem problem;
  problem.buffers = {buffer(3, 0, 2), buffer(5, 1, 4), buffer(4, 3, 6),
                     buffer(3, 5, 8), buffer(4, 7, 9), buffer(1, 0, 9)};
  const Solution solution = pack(problem, kBudget);
  CHECK(solution.height == 10 && solution.lower_bound == 10);
  check_valid(problem, solution);
}

void test_witness() {
  Problem problem;
  problem.capacities = {11};
  problem.buffers = {buffer(5, 0, 3), buffer(4, 2, 4), buffer(3, 1, 3), buffer(1, 2, 3), buffer(9, 5, 6)};
  const Solution solution = pack(problem, kBudget);
  CHECK(solution.status == Status::kInfeasible);
  CHECK(solution.witness == (std::vector<int>{0, 1, 2}));
  CHECK(solution.excess == 1);
}

void test_arenas() {
  Problem problem;
  problem.capacities = {4, 6};
  problem.buffers = {buffer(4, 0, 2), buffer(4, 0, 2), buffer(2, 0, 2)};
  problem.buffers[0].arenas = {1};
  const Solution solution = pack(problem, kBudget);
  CHECK(solution.status == Status::kSolved);
  CHECK(solution.arenas == (std::vector<int>{1, 0, 1}));
  check_valid(problem, solution);
}

void test_refusals() {
  Problem problem;
  problem.buffers = {buffer(-1, 0, 1)};
  CHECK(pack(problem, kBudget).status == Status::kBadInput);
  problem.buffers = {buffer(kMaxBytes, 0, 1), buffer(1, 0, 1)};
  CHECK(pack(problem, kBudget).status == Status::kOverflow);
  problem.buffers.clear();
  CHECK(pack(problem, kBudget).status == Status::kSolved);
}

void test_overlap_index() {
  const std::vector<std::int64_t> first{5, 0, 3, 9};
  const std::vector<std::int64_t> last{6, 9, 3, 9};
  std::vector<int> met;
  OverlapIndex(first, last).each(3, 5, [&](int id) { met.push_back(id); });
  CHECK(met == (std::vector<int>{1, 2, 0}));
}

}  // namespace

int main() {
  test_least_height();
  test_search_beats_first_fit();
  test_witness();
  test_arenas();
  test_refusals();
  test_overlap_index();
  return 0;
}
