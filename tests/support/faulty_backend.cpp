// SPDX-License-Identifier: Apache-2.0
#include "support/faulty_backend.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/units.h"

namespace fmvm::test {

void MemoryBackend::submit(BlockOperation& operation) {
    FMVM_CHECK(range_fits(operation.offset, operation.length, image_->size()));
    FMVM_CHECK(is_aligned(operation.offset, options_.block_size));
    FMVM_CHECK(is_aligned(operation.length, options_.block_size));
    FMVM_CHECK(!options_.read_only || operation.op == BlockOp::read ||
               operation.op == BlockOp::flush);
    std::uint8_t* at = image_->data() + operation.offset;
    switch (operation.op) {
        case BlockOp::read:
        case BlockOp::write:
            for (const iovec& buffer : operation.buffers) {
                FMVM_CHECK(at + buffer.iov_len <=
                           image_->data() + operation.offset + operation.length);
                if (operation.op == BlockOp::read) {
                    std::memcpy(buffer.iov_base, at, buffer.iov_len);
                } else {
                    std::memcpy(at, buffer.iov_base, buffer.iov_len);
                }
                at += buffer.iov_len;
            }
            break;
        case BlockOp::discard:
        case BlockOp::write_zeroes:
            std::memset(at, 0, operation.length);
            break;
        case BlockOp::flush:
            break;
    }
    operation.complete(BlockStatus::ok);
}

void FaultyBackend::submit(BlockOperation& operation) {
    ++submitted_;
    if (hold_) {
        held_.push_back(&operation);
    } else {
        proceed(operation);
    }
}

void FaultyBackend::flush_submissions() {
    ++flushed_submissions_;
    inner().flush_submissions();
}

void FaultyBackend::withdraw() {
    ++withdrawals_;
    inner().withdraw();
}

void FaultyBackend::release(std::size_t position) {
    FMVM_CHECK(position < held_.size());
    const auto at = held_.begin() + static_cast<std::ptrdiff_t>(position);
    released_.push_back(*at);
    held_.erase(at);
}

void FaultyBackend::release_all() {
    while (!held_.empty())
        release(0);
}

void FaultyBackend::release_all_reversed() {
    while (!held_.empty())
        release(held_.size() - 1);
}

bool FaultyBackend::poll_completions() {
    bool any = inner().poll_completions();
    while (!released_.empty()) {
        BlockOperation& operation = *released_.front();
        released_.pop_front();
        proceed(operation);
        any = true;
    }
    return any;
}

void FaultyBackend::proceed(BlockOperation& operation) {
    const std::optional<BlockStatus> status = verdict_ ? verdict_(operation) : std::nullopt;
    if (status) {
        operation.complete(*status);
    } else {
        inner().submit(operation);
    }
}

}  // namespace fmvm::test
