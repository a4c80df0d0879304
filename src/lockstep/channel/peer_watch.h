// SPDX-License-Identifier: Apache-2.0
// Whether the peer at the other end of a channel is lost: it is silent there, or its lifeline is,
// or it gives signs of life and gets no further with what it owes (docs/life.md).
//
//     introducing --both sides know each other--> joined
//     joined: the lifeline is expected, alive or gone (lifeline_watch.h)
//
// What is waited for longer than a second is told, with whom it waits for.
//
// Pure but for channel and lifeline, which it asks: time comes in as arguments. Threads: the
// replication thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/trouble.h"
#include "lockstep/channel/channel.h"
#include "lockstep/channel/failure_detector.h"
#include "lockstep/channel/getting_on.h"
#include "lockstep/channel/lifeline_watch.h"

namespace fmvm::lockstep {

// How long a peer may make no progress with what holds the guest's output. A longer silence that is
// allowed allows this to be longer, too.
inline constexpr std::chrono::seconds getting_on_min{3};
constexpr std::chrono::milliseconds getting_on_within(std::chrono::milliseconds lost_after) {
    return std::max<std::chrono::milliseconds>(getting_on_min, 4 * lost_after);
}

class PeerWatch {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Duration = TimePoint::duration;

    // How long a peer that is still unknown may be silent; or how long it may take to say who it
    // is, however lively it is.
    enum class Unknown { may_be_silent, has_to_speak };
    // The channel outlives this. component: in whose name people are told.
    PeerWatch(const Channel& channel, const char* component, Unknown unknown, Duration limit,
              TimePoint now)
        : channel_(channel), component_(component), unknown_(unknown), detector_(limit, now) {}

    // Both sides know each other. silence: that counts as a loss.
    void joined(Duration silence, TimePoint now) {
        unknown_ = Unknown::may_be_silent;
        detector_ = FailureDetector(silence, now);
        lifeline_.expect(silence, now);
    }
    void lifeline_made(std::unique_ptr<Lifeline> lifeline) {
        lifeline_.made(std::move(lifeline));
        lifeline_.handled(received_);
    }
    void lifeline_gone(const std::string& reason, TimePoint now) { lifeline_.gone(reason, now); }

    // A frame of the peer has come.
    void received(const Frame& frame) { received_ += counted_bytes(frame.type, frame.body.size()); }
    // All that has come was handled.
    void handled() { lifeline_.handled(received_); }

    // Why the peer counts as lost now, if it does: one sentence. debt: what it owes now.
    std::optional<std::string> lost(const Debt& debt, TimePoint now);
    // It was lost because it got no further.
    bool is_stuck() const { return progress_.is_late(); }
    // When lost() is to be asked next, or earlier.
    TimePoint next_look() const;

  private:
    TimePoint last_heard() const {
        return unknown_ == Unknown::has_to_speak ? TimePoint::min() : channel_.last_heard();
    }
    void tell(TimePoint now);

    const Channel& channel_;
    const char* const component_;
    Unknown unknown_;
    FailureDetector detector_;
    LifelineWatch lifeline_;
    GettingOn progress_;
    std::uint64_t received_ = 0;  // bytes of the peer's frames
    Trouble waiting_;
};

}  // namespace fmvm::lockstep
