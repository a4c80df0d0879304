// SPDX-License-Identifier: Apache-2.0
// A connection to the peer that carries frames. It is an interface, so that the simulation can
// lose, delay and cut what is sent.
//
// Threads: the user's thread (the replication thread), for all calls in both directions.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "lockstep/channel/heartbeat.h"
#include "lockstep/wire/frame_codec.h"
#include "lockstep/wire/gathered_body.h"

namespace fmvm::lockstep {

// Whoever uses a channel. None of this is called from within a call to the channel. Each of it may
// destroy the channel.
class ChannelUser {
  public:
    virtual ~ChannelUser() = default;
    // A whole, undamaged frame has come that says more than that the peer lives (is_sign_of_life).
    virtual void frame_received(Frame frame) = 0;
    // So little waits to be sent (channel_low_water) that the user may go on.
    virtual void channel_drained() = 0;
    // The connection is gone, for the reason told in one sentence. Called once, and nothing after
    // it. Not called after close().
    virtual void channel_lost(const std::string& reason) = 0;
};

// A user sends no bulk data above the high mark, and is told to go on below the low mark.
inline constexpr std::size_t channel_high_water = 4 * mib;
inline constexpr std::size_t channel_low_water = 1 * mib;

// What went over a channel, counted from its beginning.
struct Traffic {
    std::uint64_t sent = 0;   // bytes that this side's frames count (counted_bytes)
    std::uint64_t moved = 0;  // bytes that went into or came out of the socket, of frames or not
};

// What a frame counts, for whoever sent it and for whoever handles it. A heartbeat counts nothing:
// most of them reach no user.
constexpr std::size_t counted_bytes(FrameType type, std::size_t body_size) {
    return type == FrameType::heartbeat ? 0 : frame_header_size + body_size;
}

class Channel {
  public:
    virtual ~Channel() = default;
    // Called once. From now on `user` is told; frames that came before were kept for it.
    virtual void start(ChannelUser& user) = 0;
    // Sends the body after what was sent before. After a loss it goes nowhere. Returns the body's
    // digest. What the body refers to is released on the user's thread.
    virtual std::uint64_t send(FrameType type, GatheredBody body) = 0;
    // The same, but the frame leaves together with the one that is sent next.
    virtual std::uint64_t send_with_next(FrameType type, GatheredBody body) = 0;
    // From now on the peer hears something at least once in an interval, however busy the user is.
    // If both sides ask for this, one leads and the other answers, and the side that answers is
    // heard at least once in one and a quarter intervals (heartbeat.h).
    virtual void keep_alive(std::chrono::milliseconds interval, Heartbeat::Role role) = 0;
    // When the peer last gave a sign of life: when bytes came, even a part of a frame only, or when
    // the user had read a frame. At first, when the connection was made.
    virtual std::chrono::steady_clock::time_point last_heard() const = 0;
    // Bytes that wait to be sent.
    virtual std::size_t queued_bytes() const = 0;
    virtual Traffic traffic() const = 0;
    // Sends what waits, for a short while, then closes. From now on the user is told nothing.
    virtual void close() = 0;
    // The peer's address and port, for messages.
    virtual std::string peer() const = 0;
};

}  // namespace fmvm::lockstep
