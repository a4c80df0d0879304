// SPDX-License-Identifier: Apache-2.0
// Lets regions of the map of dirty blocks become inactive now and then: with a flush that somebody
// wants anyway, because a region may be inactive only when the image was synced
// (dirty_block_map.h). A decorator of a block backend, below whoever changes the disk: a guest's
// device, or a replayer. The map outlives it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "devices/block/block_backend.h"
#include "replay/image/dirty_block_map.h"

namespace fmvm::replay {

class PruningBackend : public BlockBackend, private BlockOperationOwner {
  public:
    // Often enough that what is compared after a power loss is about what was written in the last
    // hour; seldom enough that a guest which writes all over its disk hardly ever meets an inactive
    // region, each of which costs it a sync of the label.
    static constexpr std::chrono::minutes usual_period{30};

    PruningBackend(std::unique_ptr<BlockBackend> inner, DirtyBlockMap& map,
                   std::chrono::steady_clock::duration period = usual_period);

    std::uint64_t capacity() const override { return inner_->capacity(); }
    std::uint32_t block_size() const override { return inner_->block_size(); }
    bool read_only() const override { return inner_->read_only(); }
    void submit(BlockOperation& operation) override;
    void flush_submissions() override { inner_->flush_submissions(); }
    bool poll_completions() override { return inner_->poll_completions(); }
    void wait_for_completion(std::chrono::milliseconds limit) override {
        inner_->wait_for_completion(limit);
    }
    void withdraw() override { inner_->withdraw(); }

  private:
    std::optional<DirtyBlockMap::PruneId> begin_prune();
    void complete(BlockOperation& operation, BlockStatus status) override;

    DirtyBlockMap& map_;
    const std::chrono::steady_clock::duration period_;
    std::chrono::steady_clock::time_point pruned_at_;
    DirtyBlockMap::PruneId prune_ = 0;
    BlockOperation flush_;                 // the one that prunes
    BlockOperation* original_ = nullptr;   // while it is under way
    std::unique_ptr<BlockBackend> inner_;  // destroyed first: it drains what uses flush_
};

}  // namespace fmvm::replay
