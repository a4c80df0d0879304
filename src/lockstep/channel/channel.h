// SPDX-License-Identifier: Apache-2.0
// A connection to the peer that carries frames, behind an interface so that the simulation can
// lose, delay and cut. Everything happens on one thread, the replication thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "lockstep/channel/heartbeat.h"
#include "lockstep/wire/frame_codec.h"
#include "lockstep/wire/gathered_body.h"

namespace fmvm::lockstep {

// Who uses a channel. Never called from within a call to the channel.
class ChannelUser {
  public:
    virtual ~ChannelUser() = default;
    // A whole, undamaged frame that says more than that the peer lives (is_sign_of_life).
    virtual void frame_received(Frame frame) = 0;
    // What waits to be sent has become little (channel_low_water).
    virtual void channel_drained() = 0;
    // The connection is gone, once; not called after close(). `reason` is one sentence.
    virtual void channel_lost(const std::string& reason) = 0;
};

// Above the high mark a user should not send bulk data; below the low mark it is told to go on.
inline constexpr std::size_t channel_high_water = 4 * mib;
inline constexpr std::size_t channel_low_water = 1 * mib;

class Channel {
  public:
    virtual ~Channel() = default;
    // From now on `user` is told; frames that came before are kept for it.
    virtual void start(ChannelUser& user) = 0;
    // Takes the body and sends it after what was sent before; nowhere after a loss. Returns the
    // body's digest. What the body refers to is released on the user's thread.
    virtual std::uint64_t send(FrameType type, GatheredBody body) = 0;
    // The same, but it leaves together with what is sent next.
    virtual std::uint64_t send_with_next(FrameType type, GatheredBody body) = 0;
    // From now on the peer hears something at least once in an interval (from a side that answers,
    // in one and a quarter), however busy the user is.
    // If both sides say so, one leads and one answers (heartbeat.h).
    virtual void keep_alive(std::chrono::milliseconds interval, Heartbeat::Role role) = 0;
    // When the peer last gave a sign of life: bytes came, perhaps only a piece of a frame, or were
    // handed to the user at last. At first, when the connection was made.
    virtual std::chrono::steady_clock::time_point last_heard() const = 0;
    // Bytes that wait to be sent.
    virtual std::size_t queued_bytes() const = 0;
    // Sends what waits (for a short while), then closes. The user is not told anything any more.
    virtual void close() = 0;
    // The peer, for messages.
    virtual std::string peer() const = 0;
};

}  // namespace fmvm::lockstep
