// SPDX-License-Identifier: Apache-2.0
// A disk image through io_uring. An eventfd wakes the loop for completions; they are taken when the
// device is polled, which the loop does whenever it is awake.
//
// What the kernel may do to a request is handled here, so that nobody above sees it: short reads
// and writes go on where they stopped, EINTR and EAGAIN are repeated, an image that became shorter
// is an I/O error. Write zeroes falls back to writing them, discard is
// refused as unsupported where the file system cannot punch holes.
#pragma once

#include <liburing.h>

#include <chrono>
#include <deque>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/trouble.h"
#include "devices/block/block_backend.h"
#include "devices/block/disk_image.h"
#include "vmm/loop/event_loop.h"

namespace fmvm {

class UringBackend : public BlockBackend {
  public:
    static Result<std::unique_ptr<UringBackend>> create(EventLoop& loop, DiskImage image);
    // Waits for what is in flight, because the kernel still writes to guest memory; the owners of
    // those operations are not called any more.
    ~UringBackend() override;

    const DiskImage& image() const { return image_; }

    std::uint64_t capacity() const override { return image_.size; }
    std::uint32_t block_size() const override { return image_.block_size; }
    bool read_only() const override { return image_.read_only; }
    void submit(BlockOperation& operation) override;
    void flush_submissions() override;
    bool poll_completions() override;
    void wait_for_completion(std::chrono::milliseconds limit) override;
    void withdraw() override { withdraw_all(waiting_); }  // what has a slot is the kernel's

    static constexpr unsigned depth = 256;

  private:
    enum class ZeroMethod { zero_range, punch_hole, write };
    struct Slot {
        BlockOperation* operation = nullptr;
        Buffers remaining;       // what is still to be transferred
        std::uint64_t done = 0;  // bytes transferred or zeroed
        ZeroMethod method = ZeroMethod::zero_range;
    };
    explicit UringBackend(DiskImage image);
    Result<void> set_up(EventLoop& loop);
    void start(BlockOperation& operation);
    void queue_slot(unsigned index);
    void prepare(Slot& slot, io_uring_sqe* sqe);
    void prepare_zeroes(Slot& slot, io_uring_sqe* sqe);
    void completed(unsigned index, int result);
    bool advance(Slot& slot, int result);
    bool fall_back(Slot& slot, int error_number);
    void release(unsigned index, BlockStatus status);
    void tell_failure(const Slot& slot, const char* why);

    DiskImage image_;
    io_uring ring_{};
    bool ring_ready_ = false;
    std::unique_ptr<EventWatch> watch_;
    std::vector<Slot> slots_;
    std::vector<unsigned> free_slots_;
    std::deque<BlockOperation*> waiting_;  // more than `depth` operations
    std::vector<std::uint8_t> zeroes_;     // made when first needed
    unsigned unsubmitted_ = 0;
    Trouble failing_;
};

}  // namespace fmvm
