// SPDX-License-Identifier: Apache-2.0
// By what right this side speaks (docs/life.md), and until when by promises:
//
//     alone     nobody could win the next generation but by an override: the arbiter is asked
//     promises  a backup may have committed an epoch: it must have promised to be silent
//     ending    this side's run is over, and a backup may claim; the arbiter is asked, and its
//               answer used at once
//     none      this side's run is over, and its guest was handed over: what is left is dropped,
//               whatever an arbiter says, because the other side has it
//
//     alone --the first commit of a session--> promises --the next generation is won--> alone
//     promises --the run is over--> ending, or none if the guest was handed over
//
// The replication thread changes the right, the lifeline's thread renews promises, and whoever
// writes output looks right before. None of them waits for another.
//
// Promises of one session count at a time. Threads: as each call says.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/event_fd.h"
#include "base/mutex.h"
#include "lockstep/channel/permit_half.h"
#include "lockstep/output/speaking_permit.h"

namespace fmvm::lockstep {

class PairPermit : public PermitHalf {
  public:
    enum class Right : std::uint8_t { alone, promises, ending, none };

    static Result<std::shared_ptr<PairPermit>> create();

    // Replication thread.
    // A session begins, while no lifeline lives. What the one before has promised counts no more.
    void begin_session(PermitTerms terms);
    // Before a commit of the session is sent: the backup may take over from then on.
    void commits() { right_ = Right::promises; }
    // This side has won the next generation.
    void won() { change(Right::alone); }
    // The run is over.
    void end();
    // The guest is handed over: this session's promises count no more, whatever comes.
    void renounce();

    // Any thread.
    Right right() const { return right_; }
    // Output may leave now, by promises.
    bool allows(BootTime now) const { return now.count() < until_; }
    // A promise is wanted. When one has come that allows something, or the right is another one,
    // renewed() is signalled.
    void want();
    int renewed() const { return renewed_.get(); }
    // Why no promise allows anything, as far as this side knows: one clause.
    std::string why_not() const;

    // The lifeline's thread.
    std::chrono::microseconds sending(std::uint64_t number, bool asks, BootTime now) override;
    bool takes(std::chrono::microseconds /*promise*/, BootTime /*now*/) override { return true; }
    void echoed(std::uint64_t number, BootTime now) override;
    int wanted() const override { return wanted_.get(); }

  private:
    PairPermit(UniqueFd wanted, UniqueFd renewed)
        : wanted_(std::move(wanted)), renewed_(std::move(renewed)) {}
    void change(Right right);
    void tell_renewed();

    const UniqueFd wanted_;
    const UniqueFd renewed_;
    std::atomic<Right> right_{Right::alone};
    std::atomic<bool> is_wanted_{false};
    std::atomic<BootTime::rep> until_{0};
    std::atomic<BootTime::rep> late_way_{0};  // there and back, of the newest echo, if it was late
    Mutex mutex_;                             // held for a few instructions
    SpeakingPermit permit_ FMVM_GUARDED_BY(mutex_){PermitTerms{}};
};

}  // namespace fmvm::lockstep
