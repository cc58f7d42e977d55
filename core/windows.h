// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "first_fit.h"
#include "instance.h"

namespace thimble {

struct WindowResult {
  Placing placing;         // Without addresses if no placement was found.
  bool is_refuted = false;  // A proof that there is none.
  std::int64_t nodes = 0;
};

// Places a long part within one arena of `capacity`, a window of time after the other: what reaches into the next
// window is kept where it is. A window that fails is searched again together with those before it. The cost grows
// with the length of the part, not with its square; the search is incomplete.
WindowResult place_by_windows(const Problem& problem, const DistanceMap& distances, const std::vector<int>& part,
                              Bytes capacity, std::int64_t budget);

}  // namespace thimble
