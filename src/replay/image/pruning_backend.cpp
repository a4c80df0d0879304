// SPDX-License-Identifier: Apache-2.0
#include "replay/image/pruning_backend.h"

#include <utility>

namespace fmvm::replay {

PruningBackend::PruningBackend(std::unique_ptr<BlockBackend> inner, DirtyBlockMap& map,
                               std::chrono::steady_clock::duration period)
    : ForwardingBackend(std::move(inner)),
      map_(map),
      period_(period),
      pruned_at_(std::chrono::steady_clock::now()) {}

void PruningBackend::submit(BlockOperation& operation) {
    const auto prune = operation.op == BlockOp::flush ? begin_prune() : std::nullopt;
    if (!prune) {
        inner().submit(operation);
        return;
    }
    prune_ = *prune;
    flush_ = operation;
    flush_.owner = this;
    original_ = &operation;
    inner().submit(flush_);
}

// One at a time: a region that a second one names need not be on the disk when the first has ended.
std::optional<DirtyBlockMap::PruneId> PruningBackend::begin_prune() {
    const auto now = std::chrono::steady_clock::now();
    if (original_ != nullptr || now - pruned_at_ < period_) return std::nullopt;
    pruned_at_ = now;
    return map_.begin_prune(DirtyBlockMap::Prune::idle);
}

void PruningBackend::complete(BlockOperation&, BlockStatus status) {
    map_.end_prune(prune_, status == BlockStatus::ok);
    std::exchange(original_, nullptr)->complete(status);
}

}  // namespace fmvm::replay
