// SPDX-License-Identifier: Apache-2.0
// Bounds the memory of frames that have come and that the user has not read yet. Above the limit
// the channel stops reading, so that TCP makes the peer wait. It goes on when half is read.
#pragma once

#include <atomic>
#include <cstddef>

#include "base/check.h"
#include "base/units.h"

namespace fmvm::lockstep {

class UnreadLimit {
  public:
    static constexpr std::size_t bytes_max = 32 * mib;
    static constexpr std::size_t frame_cost = 512;  // so that many small frames count, too

    // What a frame with such a body counts.
    static constexpr std::size_t cost(std::size_t body_size) { return body_size + frame_cost; }

    // Network thread: a frame is on its way to the user.
    void delivered(std::size_t bytes) { unread_ += bytes; }
    // Network thread: whether more may be read. If not, reading pauses, and the user's thread tells
    // when it may go on.
    bool may_read() {
        // In this order: a user that has read everything by the time of the comparison does not
        // wake the network thread.
        paused_ = true;
        if (unread_ > bytes_max) return false;
        paused_ = false;
        return true;
    }
    bool is_paused() const { return paused_; }

    // User's thread: it has read a frame. True if reading is paused and may go on.
    bool read(std::size_t bytes) {
        const std::size_t before = unread_.fetch_sub(bytes);
        FMVM_CHECK(before >= bytes);
        return paused_ && before - bytes <= bytes_max / 2;
    }

  private:
    std::atomic<std::size_t> unread_{0};
    std::atomic<bool> paused_{false};
};

}  // namespace fmvm::lockstep
