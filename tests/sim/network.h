// SPDX-License-Identifier: Apache-2.0
// Connections between simulated processes that behave like TCP on a bad day: real frame bytes,
// delayed, cut into pieces anywhere, standing still in one direction, broken at any byte, with the
// sides learning of it at once, later or never.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "lockstep/channel/channel.h"
#include "sim/process.h"

namespace fmvm::sim {

// Where something can happen to a process: around each message that it sends or handles.
enum class Moment { before_send, after_send, before_receive, after_receive };

enum class Death {
    flushing,  // the process dies; what it sent still arrives, then the end of the stream
    cutting,   // the process dies; what it sent is cut at some byte, then the end of the stream
    silent,    // the host dies: cut at some byte, and nobody is told
};

class Connection;

class Network {
  public:
    using Handler = std::function<void(std::unique_ptr<lockstep::Channel>)>;
    using Hook = std::function<void(Process&, Moment, lockstep::FrameType,
                                    std::span<const std::uint8_t> body)>;

    explicit Network(Timeline& timeline);
    Timeline& timeline() { return timeline_; }

    // Both handlers get a channel; without a network nothing happens but `fails`.
    void connect(Process& from, Process& to, Handler connected, Handler accepted,
                 std::function<void()> fails);
    void died(Process& process, Death death);

    // What side `from` sends stands still until it is thawed.
    void freeze(int from) { frozen_[static_cast<std::size_t>(from)] = true; }
    void thaw(int from);
    bool frozen(int from) const { return frozen_[static_cast<std::size_t>(from)]; }
    // Breaks the live connection at some byte; the sides that are not told learn by silence.
    void cut(bool tell_primary, bool tell_backup);

    // Reported lengths of queues are this many times the real ones: few bytes fill them.
    void set_weight(std::size_t weight) { weight_ = weight; }
    std::size_t weight() const { return weight_; }
    void set_delay(Duration least, Duration most) { least_ = least, most_ = most; }
    Duration delay() { return timeline_.rng().between(least_, most_); }

    void on_moment(Hook hook) { hook_ = std::move(hook); }
    void moment(Process& process, Moment moment, lockstep::FrameType type,
                std::span<const std::uint8_t> body) {
        if (hook_) hook_(process, moment, type, body);
    }

  private:
    Timeline& timeline_;
    std::vector<std::shared_ptr<Connection>> connections_;
    std::array<bool, 2> frozen_{};
    std::size_t weight_ = 1;
    Duration least_ = 50us;
    Duration most_ = 400us;
    Hook hook_;
};

}  // namespace fmvm::sim
