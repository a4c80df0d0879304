// SPDX-License-Identifier: Apache-2.0
// Whether output may leave this process now (docs/life.md): asked right before each piece of it, on
// the device loop, which must never wait. Which right counts is PairPermit's to say: promises of
// the backup, or the arbiter's word (output_permit.h). And never before the time at which whoever
// spoke before is certainly silent.
//
// Output that is withheld for half a second is told of, and for whom it waits.
//
// Threads: the loop; any thread while the loop stands.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "base/boot_time.h"
#include "base/trouble.h"
#include "lockstep/output/output_permit.h"
#include "lockstep/output/pair_permit.h"

namespace fmvm::lockstep {

class RightToSpeak {
  public:
    using Permit = OutputPermit::Permit;
    using Now = OutputPermit::Now;
    struct Limits {
        BootTime speak_from{0};  // nothing leaves before
        // At the end of a run, how long after its question an answer of the arbiter counts: no
        // longer than a side that could ask may seem silent without being taken for lost.
        std::chrono::nanoseconds ending_valid_for{0};
    };

    // Loop and arbiter outlive this.
    RightToSpeak(EventLoop& loop, OutputPermit& arbiter, std::shared_ptr<PairPermit> pair,
                 Limits limits, Now now = boot_time);
    ~RightToSpeak();

    // Called on the loop: who was told `withheld` asks again, from within the call. Set before use.
    void on_answer(std::function<void()> handler);

    // As OutputPermit::ask().
    Permit ask(std::chrono::milliseconds patience);

  private:
    // What is certain without the arbiter. Nothing: it is to be asked.
    std::optional<Permit> without_arbiter();
    void withhold();
    void look_at_wait();
    void goes_on();
    std::string reason() const;

    EventLoop& loop_;
    OutputPermit& arbiter_;
    const std::shared_ptr<PairPermit> pair_;
    const Limits limits_;
    const Now now_;
    std::function<void()> handler_;
    std::optional<Trouble::TimePoint> waiting_since_;
    Trouble waiting_;
    bool looks_ = false;  // look_at_wait() is due

    struct OnLoop;  // timer and event; keeps Asio's header out of this one
    const std::unique_ptr<OnLoop> on_loop_;
};

}  // namespace fmvm::lockstep
