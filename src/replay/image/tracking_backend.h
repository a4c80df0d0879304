// SPDX-License-Identifier: Apache-2.0
// Marks what a request changes in the map of dirty blocks before the request goes to the disk, and
// tells the map when the change is over. A decorator of a block backend; the map outlives it.
//
// A change that cannot be marked fails: nothing may get to the disk that a later resynchronisation
// would not know of. After a flush that failed all of the disk is marked, because the kernel has
// dropped what it could not write, and says so only once.
#pragma once

#include <memory>

#include "base/trouble.h"
#include "devices/block/forwarding_backend.h"
#include "devices/block/operation_pool.h"
#include "replay/image/dirty_block_map.h"

namespace fmvm::replay {

class TrackingBackend : public ForwardingBackend, private BlockOperationOwner {
  public:
    TrackingBackend(std::unique_ptr<BlockBackend> inner, DirtyBlockMap& map);
    ~TrackingBackend() override;

    void submit(BlockOperation& operation) override;

  private:
    struct Tracked;
    void complete(BlockOperation& operation, BlockStatus status) override;
    Tracked& wrap(BlockOperation& operation);
    void tell_map(const BlockOperation& operation, BlockStatus status);

    DirtyBlockMap& map_;
    Trouble failing_;
    OperationPool<Tracked> pool_;
};

}  // namespace fmvm::replay
