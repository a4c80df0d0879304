// SPDX-License-Identifier: Apache-2.0
// A switchover, from the operator's wish to the arbiter's word:
//
//     none ----------> asking       both sides are asked whether they could claim; the guest runs
//     asking --------> standing     both could: the last cut is made, the guest stands
//     standing ------> handed_over  the backup has all of the guest, and was told to take over
//     asking, standing -> none      given up, or the backup is lost: the guest runs on here
//     handed_over ---> none         the arbiter has said whose the guest is
//
// A side that cannot reach the arbiter would leave the guest standing until it can; so both are
// asked first. A hand-over to a backup that is lost in the middle leaves the guest running here
// until the arbiter says whose it is, as with any other loss.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/result.h"
#include "lockstep/primary/link.h"

namespace fmvm::lockstep {

class SwitchOver {
  public:
    using TimePoint = PrimaryHost::TimePoint;
    // Both sides have to answer within this time.
    static constexpr std::chrono::seconds answers_max{3};
    // The guest stands no longer until the backup has acknowledged its last epoch, and then until
    // the backup has taken over.
    static constexpr std::chrono::seconds last_epoch_max{5};
    static constexpr std::chrono::seconds taking_over_max{2};

    // Both outlive this.
    SwitchOver(const PrimaryParts& parts, PrimaryHost& host) : parts_(parts), host_(host) {}

    enum class Asker { this_side, backup };

    // To a backup that is in step. An error: one is under way already, or the guest has ended.
    // Otherwise PrimaryHost::stays() or finished() brings the outcome.
    Result<void> begin(Link& link, Asker asker);
    // The answers of both sides.
    void arbiter_answered(Link& link, const Result<void>& tried);
    Result<void> backup_answered(Link& link, const Frame& frame);
    // Unless the backup was told to take over already; without effect when there is nothing to give
    // up.
    void give_up(Link& link, const std::string& why);
    // The operator of a backup that is in step asks for a switchover, or has given that up: without
    // effect on one that this side's operator asked for.
    Result<void> backup_wishes(Link& link, const Frame& frame);
    // When tick() has something to do; max(): nothing. After the hand-over it forwards packets that
    // still come here.
    TimePoint deadline() const { return deadline_; }
    void tick(Link& link);

    // The backup was told to take over.
    void handed_over(const Link& link);
    // The backup says that it has taken over. Where the guest is now: one sentence.
    const std::string& taken_over(const Link& link);
    // The backup is lost. The guest goes on here if it stood for this.
    void backup_lost(const std::string& reason);
    // The arbiter has said whose the guest is: where it is if it is not here, and was handed over.
    std::optional<std::string> decided();

  private:
    enum class State { none, asking, standing, handed_over };
    void look(Link& link);
    void let_guest_go_on();

    const PrimaryParts parts_;
    PrimaryHost& host_;
    State state_ = State::none;
    Asker asker_ = Asker::this_side;
    TimePoint deadline_ = TimePoint::max();  // of the state; handed_over: of the next look
    bool this_side_could_claim_ = false;     // asking
    bool backup_could_claim_ = false;
    std::string where_;  // handed_over
};

}  // namespace fmvm::lockstep
