// SPDX-License-Identifier: Apache-2.0
#include "check.h"
#include "greedy.h"
#include "load.h"

using namespace thimble;

int main() {
  // Equal sizes: the last one added is placed first.
  CHECK(tflm_greedy({4, 4, 8}, {0, 0, 0}, {1, 1, 1}, {-1, -1, -1}).offsets == (std::vector<Bytes>{12, 8, 0}));
  // Steps are inclusive: 0..1 and 1..2 clash.
  CHECK(tflm_greedy({4, 4}, {0, 1}, {1, 2}, {-1, -1}).offsets == (std::vector<Bytes>{4, 0}));
  // Offline offsets are taken as they are and filled around.
  CHECK(tflm_greedy({4, 4, 2}, {0, 0, 0}, {1, 1, 1}, {2, -1, -1}).offsets == (std::vector<Bytes>{2, 6, 0}));
  CHECK(tflm_greedy({1}, {0}, {0}, {}).status == Status::kBadInput);
  CHECK(tflm_greedy({-1}, {0}, {0}, {-1}).status == Status::kBadInput);
  CHECK(tflm_greedy({kMaxBytes, 1}, {0, 0}, {0, 0}, {-1, -1}).status == Status::kOverflow);

  CHECK(load_bound({4, 2, 1}, {1, 3, 6}, {4, 5, 7}).bytes == 6);
  CHECK(load_bound({4, 2}, {1, 3}, {3, 5}).bytes == 4);
  CHECK(load_bound({4}, {3}, {3}).bytes == 0);
  CHECK(load_bound({kMaxBytes, 1}, {0, 0}, {1, 1}).status == Status::kOverflow);
  return 0;
}
