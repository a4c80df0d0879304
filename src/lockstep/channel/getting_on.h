// SPDX-License-Identifier: Apache-2.0
// Whether a peer gets on with what it owes this side (docs/life.md, "Alive means getting on"): a
// peer that gives signs of life and does nothing else is as good as dead.
//
//     nothing is owed --a debt, or bytes that it has not handled--> owing
//     owing --all is done--> nothing is owed
//     owing --the peer gets on--> owing, with all of its time again
//
// It gets on when it answers, when its working thread makes a step of long work, when it has
// handled `step` bytes or all that waited, or when so many bytes have moved in the channel. So a
// slow disk or a slow link costs nobody his peer, and one that takes a byte now and then does.
//
// Its time is the debt's patience, and what the bytes outstanding need at a quarter of the best
// rate that this channel has shown: they may be on their way, in the kernel's buffers of both
// hosts.
//
// When this side missed a look (its process was frozen, its host overloaded), the peer gets its
// time again.
//
// Pure: time comes in as arguments.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/units.h"
#include "lockstep/channel/sign.h"

namespace fmvm::lockstep {

// What is waited for, beside that the peer handles what it was sent.
struct Debt {
    const char* what = nullptr;  // for people: "its welcome"; null: nothing
    std::chrono::steady_clock::duration patience{0};
};

class GettingOn {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Duration = TimePoint::duration;
    static constexpr std::size_t step = 256 * kib;
    // What is waited for longer than this is told.
    static constexpr std::chrono::seconds tell_after{1};

    // How far this side and its peer are, counted from the beginning of the channel.
    struct Account {
        std::uint64_t sent = 0;      // bytes of frames that the peer is to handle
        std::uint64_t moved = 0;     // bytes that went into or came out of this host's sockets
        std::uint64_t received = 0;  // bytes of the peer's frames
        WorkDone peer;               // as its signs of life say
    };

    // Asked at next_look(), and whenever convenient.
    void look(const Account& account, const Debt& debt, TimePoint now);
    // At the last look: the peer was out of time.
    bool is_late() const { return owes_ && looked_ >= due_; }
    // At the last look: for how long the peer had not got on; zero if it owed nothing.
    Duration waited() const { return owes_ ? looked_ - renewed_ : Duration::zero(); }
    // What it owed then: one clause, without figures.
    std::string owed() const;
    // The same with figures.
    std::string owed_for() const;
    // max(): nothing is owed.
    TimePoint next_look() const {
        return owes_ ? std::min(looked_ + look_every, due_) : TimePoint::max();
    }

  private:
    static constexpr std::chrono::milliseconds look_every{500};
    // Bytes a second. What is slower shows nothing: a peer that takes a byte now and then.
    static constexpr double least_rate = 64 * kib;
    // A rate is measured over so long at least.
    static constexpr std::chrono::milliseconds measured_over{200};

    bool has_got_on(const Account& account) const;
    void measure(const Account& account, TimePoint now);
    Duration on_their_way() const;
    std::uint64_t unhandled() const {
        return seen_.sent - std::min(seen_.sent, seen_.peer.handled);
    }

    Account seen_;  // at the last look
    Debt debt_;
    bool owes_ = false;
    TimePoint looked_{};
    TimePoint due_{};

    Account mark_;  // when the peer last got all of its time
    TimePoint renewed_{};

    double best_rate_ = 0;  // bytes a second; 0: none was shown
    TimePoint measured_at_{};
    std::uint64_t measured_from_ = 0;  // handled at that time
};

}  // namespace fmvm::lockstep
