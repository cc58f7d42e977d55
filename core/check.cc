// SPDX-License-Identifier: Apache-2.0
#include "check.h"

#include <algorithm>
#include <numeric>

#include "instance.h"

namespace thimble {
namespace {

bool in_range(Bytes value) { return value >= 0 && value <= kMaxBytes; }

std::string buffer_complaint(const Buffer& buffer, int arena_count) {
  if (!in_range(buffer.size)) return "size out of range";
  if (buffer.alignment < 1 || buffer.alignment > kMaxBytes) return "alignment out of range";
  if (buffer.offset != kNone && !in_range(buffer.offset)) return "fixed offset out of range";
  if (buffer.offset != kNone && buffer.offset % buffer.alignment != 0) {
    return "fixed offset is not a multiple of the alignment";
  }
  for (const int arena : buffer.arenas) {
    if (arena < 0 || arena >= arena_count) return "names an arena that does not exist";
  }
  return {};
}

// Buffers that may start together must have an order, or none of them could be placed first.
bool zero_distances_cycle(const Problem& problem) {
  const std::size_t count = problem.buffers.size();
  std::vector<std::vector<int>> later(count);
  std::vector<int> waits(count, 0);
  for (const Distance& distance : problem.distances) {
    if (distance.least != 0) continue;
    later[idx(distance.early)].push_back(distance.late);
    ++waits[idx(distance.late)];
  }
  std::vector<int> ready;
  for (std::size_t i = 0; i < count; ++i) {
    if (waits[i] == 0) ready.push_back(static_cast<int>(i));
  }
  std::size_t done = 0;
  while (!ready.empty()) {
    const int i = ready.back();
    ready.pop_back();
    ++done;
    for (const int j : later[idx(i)]) {
      if (--waits[idx(j)] == 0) ready.push_back(j);
    }
  }
  return done != count;
}

std::string distance_complaint(const Problem& problem) {
  const auto count = static_cast<int>(problem.buffers.size());
  for (const Distance& distance : problem.distances) {
    const bool known = std::min(distance.early, distance.late) >= 0 && std::max(distance.early, distance.late) < count;
    if (!known || distance.early == distance.late) return "a distance names a buffer that does not exist, or itself";
    if (!in_range(distance.least)) return "a distance is out of range";
    if (problem.capacities.size() > 1 && distance.least > problem.buffers[idx(distance.early)].size) {
      return "with several arenas, a distance cannot exceed the size of the early buffer";
    }
  }
  if (zero_distances_cycle(problem)) return "distances of zero form a cycle";
  return {};
}

}  // namespace

std::string complaint(const Problem& problem) {
  const auto arena_count = static_cast<int>(problem.capacities.size());
  if (arena_count == 0) return "there is no arena";
  for (const Bytes capacity : problem.capacities) {
    if (capacity != kNone && !in_range(capacity)) return "a capacity is out of range";
  }
  for (std::size_t i = 0; i < problem.buffers.size(); ++i) {
    const std::string what = buffer_complaint(problem.buffers[i], arena_count);
    if (!what.empty()) return "buffer " + std::to_string(i) + ": " + what;
  }
  return distance_complaint(problem);
}

Bytes reach(const Problem& problem, const std::vector<std::vector<int>>& parts) {
  Bytes fixed = 0;
  Bytes farthest = 0;
  for (const Distance& distance : problem.distances) farthest = std::max(farthest, distance.least);
  for (const Buffer& buffer : problem.buffers) fixed = std::max(fixed, buffer.offset);
  Bytes most = 0;
  for (const auto& part : parts) {
    Bytes sum = 0;
    for (const int id : part) {
      const Buffer& buffer = problem.buffers[idx(id)];
      for (const Bytes more : {std::max(buffer.size, farthest), buffer.alignment - 1}) {
        if (more > kMaxBytes - sum) return kMaxBytes + 1;
        sum += more;
      }
    }
    most = std::max(most, sum);
  }
  return fixed > kMaxBytes - most ? kMaxBytes + 1 : fixed + most;
}

Bytes grain(const Problem& problem) {
  Bytes unit = 0;
  for (const Buffer& buffer : problem.buffers) {
    unit = std::gcd(unit, buffer.size);
    if (buffer.alignment > 1) unit = std::gcd(unit, buffer.alignment);
    if (buffer.offset > 0) unit = std::gcd(unit, buffer.offset);
  }
  for (const Distance& distance : problem.distances) unit = std::gcd(unit, distance.least);
  return std::max<Bytes>(unit, 1);
}

Problem in_units(Problem problem, Bytes unit) {
  for (Buffer& buffer : problem.buffers) {
    buffer.size /= unit;
    buffer.alignment = std::max<Bytes>(1, buffer.alignment / unit);
    if (buffer.offset != kNone) buffer.offset /= unit;
  }
  for (Bytes& capacity : problem.capacities) {
    if (capacity != kNone) capacity /= unit;
  }
  for (Distance& distance : problem.distances) distance.least /= unit;
  return problem;
}

}  // namespace thimble
