// SPDX-License-Identifier: Apache-2.0
#include "support/slow_disk.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/units.h"

namespace fmvm::test {

namespace {

// Calls visit(bytes, length, at) for what of the buffers lies in [from, to) of the request.
template <typename Visit>
void for_each_buffer(const Buffers& buffers, std::uint64_t from, std::uint64_t to, Visit visit) {
    std::uint64_t at = 0;
    for (const iovec& buffer : buffers) {
        const std::uint64_t start = std::max(from, at);
        const std::uint64_t end = std::min(to, at + buffer.iov_len);
        if (start < end) {
            visit(static_cast<std::uint8_t*>(buffer.iov_base) + (start - at), end - start, start);
        }
        at += buffer.iov_len;
    }
}

}  // namespace

void SlowDisk::submit(BlockOperation& operation) {
    FMVM_CHECK(range_fits(operation.offset, operation.length, image_->size()));
    FMVM_CHECK(is_aligned(operation.offset | operation.length, sector_size));
    started_.push_back({&operation});
}

void SlowDisk::advance(Started& started) {
    const BlockOperation& operation = *started.operation;
    const std::uint64_t left = (operation.length - started.done) / sector_size;
    const std::uint64_t to = started.done + (1 + random_() % left) * sector_size;
    std::uint8_t* const bytes = image_->data() + operation.offset;
    if (operation.op == BlockOp::read || operation.op == BlockOp::write) {
        for_each_buffer(operation.buffers, started.done, to,
                        [&](std::uint8_t* memory, std::uint64_t length, std::uint64_t at) {
                            if (operation.op == BlockOp::read) {
                                std::memcpy(memory, bytes + at, length);
                            } else {
                                std::memcpy(bytes + at, memory, length);
                            }
                        });
    } else {
        std::memset(bytes + started.done, 0, to - started.done);
    }
    started.done = to;
}

void SlowDisk::work() {
    if (started_.empty()) return;
    const std::size_t position = random_() % started_.size();
    Started& started = started_[position];
    if (changes_disk(started.operation->op) && random_() % 1000 < options_.failing) {
        failed_.push_back({started.operation->offset, started.operation->length});
        complete(position, BlockStatus::io_error);
    } else if (started.done == started.operation->length) {
        complete(position, BlockStatus::ok);
    } else {
        advance(started);
    }
}

void SlowDisk::complete(std::size_t position, BlockStatus status) {
    BlockOperation& operation = *started_[position].operation;
    started_.erase(started_.begin() + static_cast<std::ptrdiff_t>(position));
    operation.complete(status);
}

bool SlowDisk::poll_completions() {
    const bool any = options_.works_when_polled && !started_.empty();
    if (any) work();
    return any;
}

std::vector<bool> SlowDisk::uncertain() const {
    std::vector<bool> sectors(image_->size() / sector_size);
    const auto add = [&sectors](std::uint64_t offset, std::uint64_t length) {
        const auto first = sectors.begin() + static_cast<std::ptrdiff_t>(offset / sector_size);
        std::fill_n(first, length / sector_size, true);
    };
    for (const Started& started : started_) {
        if (changes_disk(started.operation->op))
            add(started.operation->offset, started.operation->length);
    }
    for (const Range& range : failed_)
        add(range.offset, range.length);
    return sectors;
}

}  // namespace fmvm::test
