// SPDX-License-Identifier: Apache-2.0
// Lets regions of the map of dirty blocks become inactive now and then. A region may be inactive
// only when the image was synced (dirty_block_map.h), so this happens with a flush that somebody
// wants anyway. A decorator of a block backend, below whoever changes the disk: a guest's device,
// or a replayer. The map outlives it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "devices/block/forwarding_backend.h"
#include "replay/image/dirty_block_map.h"

namespace fmvm::replay {

class PruningBackend : public ForwardingBackend, private BlockOperationOwner {
  public:
    // Often enough that a resynchronisation after a power loss compares about what was written in
    // the last hour. Seldom enough that a guest which writes all over its disk hardly ever meets an
    // inactive region, each of which costs it a sync of the label.
    static constexpr std::chrono::minutes usual_period{30};

    PruningBackend(std::unique_ptr<BlockBackend> inner, DirtyBlockMap& map,
                   std::chrono::steady_clock::duration period = usual_period);
    ~PruningBackend() override { destroy_inner(); }

    void submit(BlockOperation& operation) override;

  private:
    std::optional<DirtyBlockMap::PruneId> begin_prune();
    void complete(BlockOperation& operation, BlockStatus status) override;

    DirtyBlockMap& map_;
    const std::chrono::steady_clock::duration period_;
    std::chrono::steady_clock::time_point pruned_at_;
    DirtyBlockMap::PruneId prune_ = 0;
    BlockOperation flush_;                // the one that prunes
    BlockOperation* original_ = nullptr;  // while it is under way
};

}  // namespace fmvm::replay
