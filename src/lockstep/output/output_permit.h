// SPDX-License-Identifier: Apache-2.0
// Whether output may leave this process now: only while the arbiter knows no newer generation of
// another side. Asked right before each piece of output, on the event loop, which must never wait
// for an arbiter whose mount hangs: so the question is put on a thread of its own, output is
// withheld until the answer comes, and then goes on at once.
//
// How old an answer may be. A side that was frozen while another took over must not show anything
// when it wakes up, on the strength of what it was told before. So an answer is used within one
// turn of the loop, begun by its arrival, and never later than a limit after the question was put,
// by a clock that goes on while the process is stopped or the host suspended. An arbiter that takes
// longer than that to answer permits nothing.
//
// Output that is withheld for half a second is told of, and why.
//
// Threads: the loop; any thread while the loop stands.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/boot_time.h"
#include "base/mutex.h"
#include "base/trouble.h"
#include "devices/console/console_output.h"
#include "lockstep/arbiter/arbiter_thread.h"
#include "vmm/loop/event_loop.h"

namespace fmvm::lockstep {

class OutputPermit {
  public:
    using Permit = ConsoleOutput::Permit;
    using Now = std::function<std::chrono::nanoseconds()>;

    // The loop outlives this. `generation`: this side's own, asked on any thread, and perhaps
    // after this is gone.
    OutputPermit(EventLoop& loop, std::shared_ptr<Arbiter> arbiter,
                 std::function<Generation()> generation, Now now = boot_time);
    ~OutputPermit();
    OutputPermit(const OutputPermit&) = delete;
    OutputPermit& operator=(const OutputPermit&) = delete;

    // Called on the loop when an answer has come: who was told `withheld` asks again, from within
    // the call. Set before use.
    void on_answer(std::function<void()> handler) { answer_handler_ = std::move(handler); }

    // Waits for the answer no longer than `patience`: 0 on the loop. Withheld: no answer yet, or
    // the arbiter could not tell; it is being asked (again). `valid_for`: so long after it was
    // asked for an answer may be used.
    Permit ask(std::chrono::milliseconds patience, std::chrono::nanoseconds valid_for);

  private:
    struct Answer {
        std::uint64_t number;
        std::chrono::nanoseconds asked_at;
        Permit permit;
    };
    void drop_old_answer(std::chrono::nanoseconds valid_for) FMVM_REQUIRES(mutex_);
    Permit use_answer(bool used_up) FMVM_REQUIRES(mutex_);
    void withhold() FMVM_REQUIRES(mutex_);
    void look_at_wait();
    std::string reason() const FMVM_REQUIRES(mutex_);
    void put_question() FMVM_REQUIRES(mutex_);
    void answered(std::chrono::nanoseconds asked_at, const Result<bool>& newest);
    void tell(std::uint64_t number);

    EventLoop& loop_;
    const std::shared_ptr<Arbiter> arbiter_;
    const std::function<Generation()> generation_;
    const Now now_;
    std::function<void()> answer_handler_;

    Mutex mutex_;
    Condition arrived_;
    bool asking_ FMVM_GUARDED_BY(mutex_) = false;
    Trouble::TimePoint asked_since_ FMVM_GUARDED_BY(mutex_){};  // while it is asked
    std::uint64_t answers_ FMVM_GUARDED_BY(mutex_) = 0;
    std::optional<Answer> answer_ FMVM_GUARDED_BY(mutex_);
    std::string no_answer_
        FMVM_GUARDED_BY(mutex_);  // why the arbiter could not tell, if it said so
    // Since when output is withheld, if it is.
    std::optional<Trouble::TimePoint> waiting_since_ FMVM_GUARDED_BY(mutex_);
    Trouble waiting_ FMVM_GUARDED_BY(mutex_);
    bool looks_ FMVM_GUARDED_BY(mutex_) = false;  // look_at_wait() is due

    struct Timer;  // keeps Asio's header out of this one
    const std::unique_ptr<Timer> timer_;
    ArbiterThread thread_;  // it uses all of the above
};

}  // namespace fmvm::lockstep
