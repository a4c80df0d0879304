// SPDX-License-Identifier: Apache-2.0
#include "replay/image/tracking_backend.h"

#include "base/log.h"

namespace fmvm::replay {

// What is handed down in the place of a change or a flush.
struct TrackingBackend::Tracked : BlockOperation {
    BlockOperation* original = nullptr;
};

TrackingBackend::TrackingBackend(std::unique_ptr<BlockBackend> inner, DirtyBlockMap& map)
    : ForwardingBackend(std::move(inner)), map_(map) {}

TrackingBackend::~TrackingBackend() {
    destroy_inner();
}

void TrackingBackend::submit(BlockOperation& operation) {
    if (operation.op == BlockOp::read) {
        inner().submit(operation);
        return;
    }
    const Result<void> marked =
        changes_disk(operation.op) ? map_.mark(operation.offset, operation.length) : Result<void>();
    if (!marked.ok()) {
        const auto told = failing_.is(marked.error().message(), std::chrono::steady_clock::now());
        if (told) log::error("disk", "writes fail: {}", *told);
        operation.complete(BlockStatus::io_error);
        return;
    }
    inner().submit(wrap(operation));
}

TrackingBackend::Tracked& TrackingBackend::wrap(BlockOperation& operation) {
    Tracked& tracked = pool_.take();
    static_cast<BlockOperation&>(tracked) = operation;
    tracked.owner = this;
    tracked.original = &operation;
    return tracked;
}

void TrackingBackend::complete(BlockOperation& operation, BlockStatus status) {
    auto& tracked = static_cast<Tracked&>(operation);
    BlockOperation& original = *tracked.original;
    tell_map(tracked, status);
    pool_.give_back(tracked);
    original.complete(status);
}

void TrackingBackend::tell_map(const BlockOperation& operation, BlockStatus status) {
    // What the kernel refused as a whole has changed nothing.
    const bool failed = status == BlockStatus::io_error;
    if (changes_disk(operation.op)) {
        map_.end_change(operation.offset, operation.length, failed);
    } else if (failed) {
        const Result<void> marked = map_.flush_failed();
        if (!marked.ok()) log::error("disk", "{}", marked.error().message());
    }
}

}  // namespace fmvm::replay
