// SPDX-License-Identifier: Apache-2.0
#include "devices/block/aligned_backend.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "base/units.h"

namespace fmvm {

// The inner request and its copy of the data.
struct AlignedBackend::Bounced : BlockOperation {
    explicit Bounced(BlockOperation& original_) : BlockOperation(original_), original(original_) {}
    BlockOperation& original;
    std::unique_ptr<std::uint8_t, decltype(&std::free)> copy{nullptr, &std::free};
};

AlignedBackend::AlignedBackend(std::unique_ptr<BlockBackend> inner, std::uint32_t memory_alignment)
    : ForwardingBackend(std::move(inner)), memory_alignment_(memory_alignment) {}

AlignedBackend::~AlignedBackend() {
    destroy_inner();
}

bool AlignedBackend::is_aligned_request(const BlockOperation& operation) const {
    return std::all_of(operation.buffers.begin(), operation.buffers.end(), [this](const iovec& b) {
        return is_aligned(reinterpret_cast<std::uintptr_t>(b.iov_base), memory_alignment_) &&
               is_aligned(b.iov_len, inner().block_size());
    });
}

void AlignedBackend::submit(BlockOperation& operation) {
    if (is_aligned_request(operation)) {
        inner().submit(operation);
        return;
    }
    if (!waiting_.empty() || copy_bytes_ + operation.length > copy_budget_bytes) {
        waiting_.push_back(&operation);
    } else {
        bounce(operation);
    }
}

void AlignedBackend::bounce(BlockOperation& operation) {
    auto bounced = std::make_unique<Bounced>(operation);
    bounced->owner = this;
    void* memory = std::aligned_alloc(page_size, align_up(operation.length, page_size));
    if (memory == nullptr) {
        operation.complete(BlockStatus::io_error);
        return;
    }
    copy_bytes_ += operation.length;
    bounced->copy.reset(static_cast<std::uint8_t*>(memory));
    bounced->buffers.assign(1, {memory, operation.length});
    if (operation.op == BlockOp::write) gather(operation.buffers, bounced->copy.get());
    Bounced& submitted = *bounced;
    bounced_.emplace(&submitted, std::move(bounced));
    inner().submit(submitted);
}

void AlignedBackend::complete(BlockOperation& operation, BlockStatus status) {
    const auto node = bounced_.extract(&operation);
    const Bounced& bounced = *node.mapped();
    copy_bytes_ -= operation.length;
    if (operation.op == BlockOp::read && status == BlockStatus::ok)
        scatter(bounced.copy.get(), bounced.original.buffers);
    while (!waiting_.empty() &&
           (copy_bytes_ == 0 || copy_bytes_ + waiting_.front()->length <= copy_budget_bytes)) {
        BlockOperation& next = *waiting_.front();
        waiting_.pop_front();
        bounce(next);
    }
    bounced.original.complete(status);
}

void AlignedBackend::withdraw() {
    withdraw_all(waiting_);
    inner().withdraw();
}

}  // namespace fmvm
