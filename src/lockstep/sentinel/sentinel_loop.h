// SPDX-License-Identifier: Apache-2.0
// What a sentinel does until it ends: it keeps a connection to whomever it is to tell, and says its
// word there when the process that it belongs to has died.
//
//     state       event                                    next state
//     idle        somebody is to be told                   connecting
//     connecting  connected                                shaking
//     shaking     hands are shaken, if under TLS: it greets  greeting
//     greeting    answered                                 standing_by; the process has died:
//     leaving
//     these three failed, or it took too long              pausing; died, and time is up: done
//     standing_by the process has died: it says its word   leaving
//                 the connection is gone                   pausing
//     pausing     a while has passed, or the process died  connecting
//     leaving     the peer has closed, or a while passed   done
//     any         somebody else is to be told, or nobody   connecting, idle
//     idle        the process has died                     done
//
// It does not use the log: it goes on in a process that was forked from another one (before that
// one had threads, so that memory may be taken), when that one is dead. In the clear it takes none.
//
// Threads: one.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/unique_fd.h"
#include "lockstep/channel/transport.h"
#include "lockstep/sentinel/last_word.h"

namespace fmvm::lockstep {

class SentinelLoop {
  public:
    struct Patience {
        std::chrono::milliseconds connecting{2000};  // each time, until it is answered
        std::chrono::milliseconds pausing{1000};     // until it is tried again
        // After the death: until the word is said, and then until the peer has closed.
        std::chrono::milliseconds telling{5000};
    };

    // orders: LastWord comes, SentinelReport goes; a packet socket. When it is closed, nothing
    // comes any more. death: readable when the process has died. Both are non-blocking.
    SentinelLoop(UniqueFd orders, UniqueFd death, Patience patience)
        : patience_(patience), orders_(std::move(orders)), death_(std::move(death)) {}

    // Returns when the process has died and whoever was to be told has been, or cannot be.
    void run();

  private:
    using Clock = std::chrono::steady_clock;
    enum class State { idle, connecting, shaking, greeting, standing_by, pausing, leaving, done };

    void wait();
    void take_order();
    void process_died();
    void look_at_connection();
    void connect();
    void shake_hands();
    void greet();
    void heard(std::span<const std::uint8_t> said);
    void say_word();
    void lost(SentinelReport::State how, int error);
    void time_is_up();
    bool send(std::span<const std::uint8_t> bytes);
    short wanted() const;
    void report(SentinelReport report) const;
    int timeout_ms() const;

    const Patience patience_;
    UniqueFd orders_;
    UniqueFd death_;  // none: the process has died
    State state_ = State::idle;
    LastWord last_word_;
    std::shared_ptr<const TlsContext> tls_;  // null: in the clear
    std::optional<Transport> connection_;
    Needs needs_ = Needs::nothing;                        // of shaking hands
    std::size_t answered_ = 0;                            // bytes of the answer that have come
    Clock::time_point until_ = Clock::time_point::max();  // of this state
    Clock::time_point give_up_at_ = Clock::time_point::max();
};

}  // namespace fmvm::lockstep
