// SPDX-License-Identifier: Apache-2.0
#include "replay/tracking_backend.h"

#include "base/log.h"

namespace fmvm::replay {

// The inner request of one that changes the disk.
struct TrackingBackend::Change : BlockOperation {
    BlockOperation* original = nullptr;
};

TrackingBackend::TrackingBackend(std::unique_ptr<BlockBackend> inner, DirtyBlockMap& map)
    : map_(map), inner_(std::move(inner)) {}

TrackingBackend::~TrackingBackend() = default;

void TrackingBackend::submit(BlockOperation& operation) {
    if (!changes_disk(operation.op)) {
        inner_->submit(operation);
        return;
    }
    if (const Result<void> marked = map_.mark(operation.offset, operation.length); !marked.ok()) {
        if (!told_) log::error("disk", "writes fail: {}", marked.error().message());
        told_ = true;
        operation.complete(BlockStatus::io_error);
        return;
    }
    inner_->submit(wrap(operation));
}

TrackingBackend::Change& TrackingBackend::wrap(BlockOperation& operation) {
    if (unused_.empty()) {
        changes_.push_back(std::make_unique<Change>());
        unused_.push_back(changes_.back().get());
    }
    Change& change = *unused_.back();
    unused_.pop_back();
    static_cast<BlockOperation&>(change) = operation;
    change.owner = this;
    change.original = &operation;
    return change;
}

void TrackingBackend::complete(BlockOperation& operation, BlockStatus status) {
    auto& change = static_cast<Change&>(operation);
    // What the kernel refused as a whole has changed nothing.
    map_.settle(change.offset, change.length, status == BlockStatus::io_error);
    unused_.push_back(&change);
    change.original->complete(status);
}

}  // namespace fmvm::replay
