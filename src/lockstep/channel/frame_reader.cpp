// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/frame_reader.h"

#include <utility>

namespace fmvm::lockstep {

void FrameReader::read(Handler handler) {
    FMVM_CHECK(!reading_ && !failed_);
    reading_ = true;
    stream_.read(decoder_.space(), [this, handler = std::move(handler)](const Moved& moved) {
        reading_ = false;
        handler(take(moved));
    });
}

Result<FrameReader::Received> FrameReader::take(const Moved& moved) {
    failed_ = true;
    if (moved.is_lost()) return Error(moved.lost);
    std::optional<Frame> frame = FMVM_TRY(decoder_.received(moved.bytes));
    failed_ = false;
    return Received{moved.bytes, std::move(frame)};
}

}  // namespace fmvm::lockstep
