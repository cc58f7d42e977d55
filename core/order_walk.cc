// SPDX-License-Identifier: Apache-2.0
#include "order_walk.h"

namespace thimble::order {

namespace {

// SplitMix64 (S. Vigna, public domain): a fixed sequence of well mixed words.
std::uint64_t mixed(std::uint64_t i) {
  std::uint64_t z = (i + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

}  // namespace

Bytes final_live(const Part& part) {
  Bytes live = part.base;
  for (const Unit& unit : part.units) {
    for (const Phase& phase : unit.phases) live += phase.delta;
  }
  for (const Tensor& tensor : part.tensors) {
    // Whatever several units read is freed by chance, and certainly in the end.
    if (!tensor.outlives && tensor.readers.size() > 1) live -= tensor.size;
  }
  return live;
}

Walk::Walk(const Part& part, Way way)
    : part_(part),
      forward_(way == Way::kForward),
      taken_(part.units.size()),
      left_(part.tensors.size()),
      ready_at_(part.units.size(), -1),
      live_(forward_ ? part.base : final_live(part)) {
  for (std::size_t t = 0; t < left_.size() && forward_; ++t) {
    left_[t] = static_cast<int>(part.tensors[t].readers.size());
  }
  for (std::size_t u = 0; u < part.units.size(); ++u) {
    names_.push_back({mixed(2 * u), mixed(2 * u + 1)});
    waiting_.push_back(static_cast<int>((forward_ ? part.units[u].preds : part.units[u].succs).size()));
    if (waiting_.back() == 0) add_ready(static_cast<int>(u));
  }
}

Key Walk::key_with(int unit) const {
  const Key& name = names_[static_cast<std::size_t>(unit)];
  return {key_.low ^ name.low, key_.high ^ name.high};
}

Effect Walk::effect(int unit) const {
  const auto& phases = part_.units[static_cast<std::size_t>(unit)].phases;
  Effect effect{live_, live_};
  if (forward_) {
    for (const Phase& phase : phases) {
      effect.need = std::max(effect.need, effect.live + phase.hill);
      effect.live += phase.delta;
      for (const int t : phase.reads) effect.live -= left_[static_cast<std::size_t>(t)] == 1 ? size(t) : 0;
    }
    return effect;
  }
  for (std::size_t k = phases.size(); k-- > 0;) {
    for (const int t : phases[k].reads) effect.live += left_[static_cast<std::size_t>(t)] == 0 ? size(t) : 0;
    effect.live -= phases[k].delta;
    effect.need = std::max(effect.need, effect.live + phases[k].hill);
  }
  return effect;
}

void Walk::take(int unit) {
  const Unit& moved = part_.units[static_cast<std::size_t>(unit)];
  forward_ ? run(moved) : unrun(moved);
  key_ = key_with(unit);
  taken_[static_cast<std::size_t>(unit)] = true;
  drop_ready(unit);
  for (const int s : followers(unit)) {
    if (--waiting_[static_cast<std::size_t>(s)] == 0) add_ready(s);
  }
  path_.push_back(unit);
}

void Walk::give_back() {
  const int unit = path_.back();
  const Unit& moved = part_.units[static_cast<std::size_t>(unit)];
  path_.pop_back();
  for (const int s : followers(unit)) {
    if (waiting_[static_cast<std::size_t>(s)]++ == 0) drop_ready(s);
  }
  add_ready(unit);
  taken_[static_cast<std::size_t>(unit)] = false;
  key_ = key_with(unit);
  forward_ ? unrun(moved) : run(moved);
}

void Walk::run(const Unit& unit) {
  for (const Phase& phase : unit.phases) {
    live_ += phase.delta;
    for (const int t : phase.reads) {
      if (--left_[static_cast<std::size_t>(t)] == 0) live_ -= size(t);
    }
  }
}

void Walk::unrun(const Unit& unit) {
  for (const Phase& phase : unit.phases) {
    live_ -= phase.delta;
    for (const int t : phase.reads) {
      if (left_[static_cast<std::size_t>(t)]++ == 0) live_ += size(t);
    }
  }
}

void Walk::add_ready(int unit) {
  ready_at_[static_cast<std::size_t>(unit)] = static_cast<int>(ready_.size());
  ready_.push_back(unit);
}

void Walk::drop_ready(int unit) {
  const int at = ready_at_[static_cast<std::size_t>(unit)];
  const int last = ready_.back();
  ready_[static_cast<std::size_t>(at)] = last;
  ready_at_[static_cast<std::size_t>(last)] = at;
  ready_.pop_back();
  ready_at_[static_cast<std::size_t>(unit)] = -1;
}

}  // namespace thimble::order
