// SPDX-License-Identifier: Apache-2.0
#include "node/build/disk_stack.h"

#include "devices/block/aligned_backend.h"
#include "devices/block/uring_backend.h"
#include "replay/capture/recording_backend.h"
#include "replay/image/pruning_backend.h"
#include "replay/image/tracking_backend.h"

namespace fmvm::node {

Result<DiskStack> DiskStack::open(EventLoop& loop, DiskImage image) {
    const std::uint32_t alignment = image.memory_alignment;
    auto uring = FMVM_TRY(UringBackend::create(loop, std::move(image)));
    const DiskImage& opened = uring->image();
    std::unique_ptr<BlockBackend> bottom = std::move(uring);
    if (alignment > 1) bottom = std::make_unique<AlignedBackend>(std::move(bottom), alignment);
    return DiskStack(loop, std::move(bottom), opened);
}

BlockBackend& DiskStack::track(replay::DirtyBlockMap& map) {
    top_ = std::make_unique<replay::PruningBackend>(std::move(top_), map);
    BlockBackend& below_marks = *top_;
    top_ = std::make_unique<replay::TrackingBackend>(std::move(top_), map);
    return below_marks;
}

void DiskStack::record(GuestMemory& memory, replay::BlockLog& log, std::uint8_t disk) {
    top_ = std::make_unique<replay::RecordingBackend>(*loop_, memory, log, disk, std::move(top_));
}

lockstep::WriteGate& DiskStack::hold_writes(lockstep::WriteGate::Holds holds) {
    auto gate = std::make_unique<lockstep::WriteGate>(*loop_, std::move(top_), holds);
    lockstep::WriteGate& reference = *gate;
    top_ = std::move(gate);
    return reference;
}

}  // namespace fmvm::node
