// SPDX-License-Identifier: Apache-2.0
// Marks what a request changes in the map of dirty blocks before the request goes to the disk, and
// says there when it is over. A decorator of a block backend; the map outlives it.
//
// A change that cannot be marked fails: nothing may get to the disk that a later resynchronisation
// would not know of. After a flush that failed all of the disk is marked: the kernel has dropped
// what it could not write, and says so once.
#pragma once

#include <memory>
#include <vector>

#include "devices/block/block_backend.h"
#include "replay/image/dirty_block_map.h"

namespace fmvm::replay {

class TrackingBackend : public BlockBackend, private BlockOperationOwner {
  public:
    TrackingBackend(std::unique_ptr<BlockBackend> inner, DirtyBlockMap& map);
    ~TrackingBackend() override;

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
    struct Tracked;
    void complete(BlockOperation& operation, BlockStatus status) override;
    Tracked& wrap(BlockOperation& operation);
    void settle(const BlockOperation& operation, BlockStatus status);

    DirtyBlockMap& map_;
    bool told_ = false;  // that writes fail
    std::vector<std::unique_ptr<Tracked>> pool_;
    std::vector<Tracked*> unused_;
    std::unique_ptr<BlockBackend> inner_;  // destroyed first: it drains what uses the pool
};

}  // namespace fmvm::replay
