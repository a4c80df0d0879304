// SPDX-License-Identifier: Apache-2.0
// What a guest's requests to one disk pass through, from its device down to the image:
//
//   WriteGate         holds writes until their epoch is committed      hold_writes()
//   RecordingBackend  logs what the guest does, for a backup           record()
//   TrackingBackend   marks the blocks that both sides may differ in   track()
//   PruningBackend    takes marks back when the image was synced       track()
//   AlignedBackend    copies buffers that direct I/O refuses           open()
//   UringBackend      the kernel's I/O on the image                    open()
//
// A stack is built from the bottom up; each step but the first may be left out. The loop, the
// guest's memory and what a step is given outlive the stack.
#pragma once

#include <memory>

#include "base/result.h"
#include "devices/block/block_backend.h"
#include "devices/block/disk_image.h"
#include "lockstep/output/write_gate.h"
#include "replay/capture/block_log.h"
#include "replay/image/dirty_block_map.h"
#include "vmm/loop/event_loop.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm::node {

class DiskStack {
  public:
    static Result<DiskStack> open(EventLoop& loop, DiskImage image);

    // Returns the part below the marks: requests that reach the image past them.
    BlockBackend& track(replay::DirtyBlockMap& map);
    // disk: the number by which the log knows this one.
    void record(GuestMemory& memory, replay::BlockLog& log, std::uint8_t disk);
    lockstep::WriteGate& hold_writes(lockstep::WriteGate::Holds holds);

    const DiskImage& image() const { return *image_; }
    // The whole stack, for a device.
    std::unique_ptr<BlockBackend> take() && { return std::move(top_); }

  private:
    DiskStack(EventLoop& loop, std::unique_ptr<BlockBackend> bottom, const DiskImage& image)
        : loop_(&loop), top_(std::move(bottom)), image_(&image) {}

    EventLoop* loop_;
    std::unique_ptr<BlockBackend> top_;  // what requests reach first; it owns those below
    const DiskImage* image_;             // the lowest one's
};

}  // namespace fmvm::node
