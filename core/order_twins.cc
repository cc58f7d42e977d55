// SPDX-License-Identifier: Apache-2.0
// Symmetry: chains that do the same between the same neighbours (grouped convolutions, equal heads) need only be told
// apart by number. The k-th unit of the first may be asked to run before the k-th of the second.
//
// Proof. Take any order. For every k, let the k-th unit of the first chain have the earlier of the two places where a
// k-th unit stands, that of the second the later one. Each chain keeps its order, at each moment the same two numbers
// of units have run as before, only perhaps exchanged, and equal chains hold equal bytes.
#include <algorithm>
#include <map>

#include "order_part.h"

namespace thimble::order {

namespace {

using Signature = std::vector<std::int64_t>;

const Unit& at(const Part& part, int u) { return part.units[static_cast<std::size_t>(u)]; }

bool continues(const Part& part, int u) {
  return at(part, u).preds.size() == 1 && at(part, at(part, u).preds.front()).succs.size() == 1;
}

std::vector<int> chain_from(const Part& part, int head) {
  std::vector<int> chain{head};
  while (at(part, chain.back()).succs.size() == 1 && continues(part, at(part, chain.back()).succs.front())) {
    chain.push_back(at(part, chain.back()).succs.front());
  }
  return chain;
}

template <typename Items>
void append(Signature& signature, const Items& items) {
  signature.push_back(static_cast<std::int64_t>(items.size()));
  signature.insert(signature.end(), items.begin(), items.end());
}

// What a tensor is to others than its chain: bytes, whether it stays, who reads it. Empty if only the chain does.
Signature seen_outside(const Tensor& tensor, const std::vector<int>& chain) {
  const auto inside = [&](int r) { return std::find(chain.begin(), chain.end(), r) != chain.end(); };
  if (!tensor.outlives && std::all_of(tensor.readers.begin(), tensor.readers.end(), inside)) return {};
  Signature signature{tensor.size, tensor.outlives ? 1 : 0};
  append(signature, tensor.readers);
  return signature;
}

// All that the rest of the part can tell of a chain, up to the numbers of its units.
Signature signature_of(const Part& part, const std::vector<int>& chain, const std::vector<std::vector<int>>& results) {
  Signature signature;
  append(signature, at(part, chain.front()).preds);
  append(signature, at(part, chain.back()).succs);
  for (const int u : chain) {
    signature.push_back(static_cast<std::int64_t>(at(part, u).phases.size()));
    for (const Phase& phase : at(part, u).phases) {
      signature.push_back(phase.hill);
      signature.push_back(phase.delta);
      append(signature, phase.reads);
    }
    std::vector<Signature> outputs;
    for (const int t : results[static_cast<std::size_t>(u)]) {
      outputs.push_back(seen_outside(part.tensors[static_cast<std::size_t>(t)], chain));
    }
    std::sort(outputs.begin(), outputs.end());
    for (const Signature& output : outputs) append(signature, output);
  }
  return signature;
}

// Lets `early` run before `late`.
void order(Part& part, int early, int late) {
  auto& succs = part.units[static_cast<std::size_t>(early)].succs;
  auto& preds = part.units[static_cast<std::size_t>(late)].preds;
  succs.insert(std::lower_bound(succs.begin(), succs.end(), late), late);
  preds.insert(std::lower_bound(preds.begin(), preds.end(), early), early);
}

}  // namespace

Part order_twins(Part part) {
  std::vector<std::vector<int>> results(part.units.size());
  for (std::size_t t = 0; t < part.tensors.size(); ++t) {
    const int producer = part.tensors[t].producer;
    if (producer >= 0) results[static_cast<std::size_t>(producer)].push_back(static_cast<int>(t));
  }
  std::map<Signature, std::vector<std::vector<int>>> alike;
  for (int u = 0; u < static_cast<int>(part.units.size()); ++u) {
    if (continues(part, u)) continue;
    std::vector<int> chain = chain_from(part, u);
    Signature signature = signature_of(part, chain, results);
    alike[std::move(signature)].push_back(std::move(chain));
  }
  for (const auto& [signature, chains] : alike) {
    for (std::size_t i = 1; i < chains.size(); ++i) {
      for (std::size_t k = 0; k < chains[i].size(); ++k) order(part, chains[i - 1][k], chains[i][k]);
    }
  }
  return part;
}

}  // namespace thimble::order
