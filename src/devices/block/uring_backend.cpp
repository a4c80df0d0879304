// SPDX-License-Identifier: Apache-2.0
#include "devices/block/uring_backend.h"

#include <fcntl.h>
#include <linux/falloc.h>

#include <algorithm>

#include "base/log.h"
#include "base/units.h"

namespace fmvm {

namespace {

constexpr std::size_t zero_buffer_size = 64 * kib;

// Drops `bytes` from the front of a buffer list.
void consume(Buffers& buffers, std::uint64_t bytes) {
    std::size_t whole = 0;
    while (whole < buffers.size() && bytes >= buffers[whole].iov_len) {
        bytes -= buffers[whole++].iov_len;
    }
    buffers.erase(buffers.begin(), buffers.begin() + static_cast<std::ptrdiff_t>(whole));
    if (bytes != 0) {
        buffers.front().iov_base = static_cast<std::uint8_t*>(buffers.front().iov_base) + bytes;
        buffers.front().iov_len -= bytes;
    }
}

}  // namespace

Result<std::unique_ptr<UringBackend>> UringBackend::create(EventLoop& loop, DiskImage image) {
    std::unique_ptr<UringBackend> backend(new UringBackend(std::move(image)));
    FMVM_TRY(backend->set_up(loop));
    return backend;
}

UringBackend::UringBackend(DiskImage image) : image_(std::move(image)), slots_(depth) {
    for (unsigned i = 0; i < depth; ++i)
        free_slots_.push_back(i);
}

Result<void> UringBackend::set_up(EventLoop& loop) {
    const int error = ::io_uring_queue_init(depth, &ring_, 0);
    if (error < 0) {
        return make_error(
            "io_uring is not available ({}); allow it (sysctl kernel.io_uring_disabled=0, and in "
            "the container's seccomp profile)",
            std::strerror(-error));
    }
    ring_ready_ = true;
    UniqueFd event = FMVM_TRY(create_eventfd());
    const int watched = ::io_uring_register_eventfd(&ring_, event.get());
    if (watched < 0) return errno_error(-watched, "io_uring_register_eventfd failed");
    watch_ = std::make_unique<EventWatch>(loop, std::move(event), [] {});  // waking is enough
    return {};
}

UringBackend::~UringBackend() {
    if (!ring_ready_) return;
    // What the kernel never took does not touch guest memory; only the rest is waited for.
    std::size_t busy = slots_.size() - free_slots_.size();
    while (busy > unsubmitted_) {
        io_uring_cqe* cqe = nullptr;
        const int error = ::io_uring_wait_cqe(&ring_, &cqe);
        if (error == -EINTR) continue;
        if (error < 0) break;
        ::io_uring_cqe_seen(&ring_, cqe);
        --busy;
    }
    ::io_uring_queue_exit(&ring_);
    // The kernel takes the ring apart later; the next user need not wait for that.
    if (busy <= unsubmitted_) image_.unlock();
}

void UringBackend::submit(BlockOperation& operation) {
    if (free_slots_.empty()) {
        waiting_.push_back(&operation);
    } else {
        start(operation);
    }
}

void UringBackend::start(BlockOperation& operation) {
    const unsigned index = free_slots_.back();
    free_slots_.pop_back();
    Slot& slot = slots_[index];
    slot.operation = &operation;
    slot.remaining = operation.buffers;
    slot.done = 0;
    slot.method = operation.may_unmap ? ZeroMethod::punch_hole : ZeroMethod::zero_range;
    queue_slot(index);
}

void UringBackend::queue_slot(unsigned index) {
    io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {  // cannot stay full: submitting empties the queue
        flush_submissions();
        sqe = ::io_uring_get_sqe(&ring_);
        FMVM_CHECK(sqe != nullptr);
    }
    prepare(slots_[index], sqe);
    sqe->user_data = index;
    ++unsubmitted_;
}

void UringBackend::prepare(Slot& slot, io_uring_sqe* sqe) {
    // Not registered with the ring: that would keep the image, and its lock, until the kernel has
    // taken the ring of a killed process apart, tens of milliseconds after its last I/O.
    const int file = image_.fd.get();
    const BlockOperation& operation = *slot.operation;
    const auto buffers = static_cast<unsigned>(slot.remaining.size());
    switch (operation.op) {
        case BlockOp::read:
            ::io_uring_prep_readv(sqe, file, slot.remaining.data(), buffers,
                                  operation.offset + slot.done);
            break;
        case BlockOp::write:
            ::io_uring_prep_writev(sqe, file, slot.remaining.data(), buffers,
                                   operation.offset + slot.done);
            break;
        case BlockOp::flush:
            ::io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
            break;
        case BlockOp::discard:
            ::io_uring_prep_fallocate(sqe, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                      static_cast<off_t>(operation.offset),
                                      static_cast<off_t>(operation.length));
            break;
        case BlockOp::write_zeroes:
            prepare_zeroes(slot, sqe);
            break;
    }
}

void UringBackend::prepare_zeroes(Slot& slot, io_uring_sqe* sqe) {
    const int file = image_.fd.get();
    const std::uint64_t offset = slot.operation->offset + slot.done;
    const std::uint64_t length = slot.operation->length - slot.done;
    if (slot.method == ZeroMethod::write) {
        if (zeroes_.empty()) zeroes_.resize(zero_buffer_size + page_size);
        // Direct I/O wants an aligned buffer.
        const auto start = reinterpret_cast<std::uintptr_t>(zeroes_.data());
        auto* aligned = zeroes_.data() + (align_up(start, page_size) - start);
        slot.remaining.assign(1, {aligned, std::min<std::uint64_t>(length, zero_buffer_size)});
        ::io_uring_prep_writev(sqe, file, slot.remaining.data(), 1, offset);
        return;
    }
    const int mode =
        slot.method == ZeroMethod::punch_hole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
    ::io_uring_prep_fallocate(sqe, file, mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                              static_cast<off_t>(length));
}

void UringBackend::flush_submissions() {
    while (unsubmitted_ != 0) {
        const int submitted = ::io_uring_submit(&ring_);
        if (submitted == -EINTR) continue;
        // EAGAIN, EBUSY: the kernel is short of memory or of completion room; completing frees it.
        if (submitted == -EAGAIN || submitted == -EBUSY) return;
        FMVM_CHECK(submitted >= 0);
        unsubmitted_ -= std::min(unsubmitted_, static_cast<unsigned>(submitted));
        if (submitted == 0) return;
    }
}

bool UringBackend::poll_completions() {
    flush_submissions();
    bool any = false;
    io_uring_cqe* cqe = nullptr;
    while (::io_uring_peek_cqe(&ring_, &cqe) == 0 && cqe != nullptr) {
        const auto index = static_cast<unsigned>(cqe->user_data);
        const int result = cqe->res;
        ::io_uring_cqe_seen(&ring_, cqe);
        completed(index, result);
        any = true;
    }
    flush_submissions();
    return any || unsubmitted_ != 0;  // what the kernel did not take is tried again
}

void UringBackend::wait_for_completion(std::chrono::milliseconds limit) {
    flush_submissions();
    __kernel_timespec timeout{limit.count() / 1000, limit.count() % 1000 * 1'000'000};
    io_uring_cqe* cqe = nullptr;
    ::io_uring_wait_cqe_timeout(&ring_, &cqe, &timeout);  // whatever came of it, polling tells
}

void UringBackend::completed(unsigned index, int result) {
    Slot& slot = slots_[index];
    if (result == -EINTR || result == -EAGAIN) {
        queue_slot(index);
    } else if (result < 0) {
        if (fall_back(slot, -result)) {
            queue_slot(index);
        } else {
            const bool refused = slot.operation->op == BlockOp::discard && result == -EOPNOTSUPP;
            if (!refused) tell_failure(slot, std::strerror(-result));
            release(index, refused ? BlockStatus::unsupported : BlockStatus::io_error);
        }
    } else if (!advance(slot, result)) {
        queue_slot(index);
    } else {
        const bool short_transfer = slot.done != slot.operation->length;
        if (short_transfer) tell_failure(slot, "the image ends before");
        release(index, short_transfer ? BlockStatus::io_error : BlockStatus::ok);
    }
}

// Accounts for a successful step; true when there is nothing left to do.
bool UringBackend::advance(Slot& slot, int result) {
    const BlockOperation& operation = *slot.operation;
    const auto bytes = static_cast<std::uint64_t>(result);
    switch (operation.op) {
        case BlockOp::read:
        case BlockOp::write:
            slot.done += bytes;
            if (bytes == 0) return true;  // end of a file that became shorter
            consume(slot.remaining, bytes);
            return slot.done == operation.length;
        case BlockOp::write_zeroes:
            if (slot.method == ZeroMethod::write) {
                slot.done += bytes;
                return bytes == 0 || slot.done == operation.length;
            }
            [[fallthrough]];
        case BlockOp::flush:
        case BlockOp::discard:
            slot.done = operation.length;
            return true;
    }
    return true;
}

// Zeroes that a file system cannot make by itself are written. (A punched hole reads as zeroes too,
// but takes the space away that the guest wants to keep.)
bool UringBackend::fall_back(Slot& slot, int error_number) {
    const bool can = slot.operation->op == BlockOp::write_zeroes && error_number == EOPNOTSUPP &&
                     slot.method != ZeroMethod::write;
    if (can) slot.method = ZeroMethod::write;
    return can;
}

// Not each: a guest may ask for as many as it likes.
void UringBackend::tell_failure(const Slot& slot, const char* why) {
    const BlockOperation& operation = *slot.operation;
    const auto told = failing_.is(fmt::format("a {} fails: {}", name_of(operation.op), why),
                                  std::chrono::steady_clock::now());
    if (!told) return;
    log::warning("disk", "{}: {} offset={} bytes={}", image_.path, *told,
                 operation.offset + slot.done, operation.length - slot.done);
}

void UringBackend::release(unsigned index, BlockStatus status) {
    BlockOperation& operation = *std::exchange(slots_[index].operation, nullptr);
    free_slots_.push_back(index);
    if (!waiting_.empty()) {
        BlockOperation& next = *waiting_.front();
        waiting_.pop_front();
        start(next);
    }
    operation.complete(status);
}

}  // namespace fmvm
