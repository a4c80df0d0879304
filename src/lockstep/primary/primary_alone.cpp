// SPDX-License-Identifier: Apache-2.0
// What becomes of a primary whose backup is lost: it decides whether it may go on, and looks for
// another one.
#include <utility>

#include "base/log.h"
#include "lockstep/primary/primary.h"

namespace fmvm::lockstep {

namespace {

constexpr std::chrono::milliseconds claim_retry{500};

}  // namespace

void Primary::channel_lost(const std::string& reason) {
    peer_lost(reason);
}

void Primary::drop_channel(const std::string& reason) {
    if (!channel_) return;
    send(RefuseMessage{reason});
    channel_->close();
    peer_lost(reason);
}

void Primary::peer_lost(const std::string& reason) {
    if (state_ == State::finished) return;
    end_verification({VerifyOutcome::Kind::unfinished,
                      fmt::format("the backup was lost meanwhile: {}", reason)});
    const State was = state_;
    channel_.reset();
    detector_.reset();
    more_work_ = false;
    copy_look_.reset();
    lost_reason_ = reason;
    if (commit_sent_) {
        log::warning("primary", "lost the backup {}: {}", peer_, reason);
        decide();
        return;
    }
    // Nobody could take over yet.
    if (std::exchange(told_reason_, reason) != reason) {
        log::notice("primary", "no backup at {}: {}", peer_, reason);
    } else {
        log::info("primary", "no backup at {}: {}", peer_, reason);
    }
    if (was == State::greeting) {
        state_ = State::alone;
        look_for_backup();
    } else {
        run_alone();
    }
}

void Primary::decide() {
    if (options_.on_backup_lost == OnBackupLost::stop && ending_ != Ending::guest_end) {
        finish(PrimaryEnd::backup_lost, lost_reason_);
        return;
    }
    state_ = State::deciding;
    // What was cut is not going anywhere; its output is held all the same.
    if (!last_cut_) source_.resume();
    host_.claim(options_.generation + 1);
}

void Primary::claimed(Result<Claim> claim) {
    if (state_ != State::deciding) return;
    if (!claim.ok()) {
        log::warning("primary", "the guest's output waits: {}", claim.error().message());
        claim_again_ = host_.now() + claim_retry;
    } else if (*claim == Claim::lost) {
        const bool wanted = ending_ == Ending::switch_over && last_cut_;
        finish(wanted ? PrimaryEnd::handed_over : PrimaryEnd::superseded,
               "the backup has taken over");
    } else {
        go_alone();
    }
}

// Nobody else runs this guest, nor ever will under this generation.
void Primary::go_alone() {
    ++options_.generation;
    host_.generation_changed(options_.generation);
    run_alone();
    if (state_ == State::alone)
        log::warning("primary", "running unprotected generation={}", options_.generation);
}

// What waits may go, because no backup could contradict it.
void Primary::run_alone() {
    packing_ = false;
    sent_.clear();
    gate_.open();
    state_ = State::alone;
    if (!end_reason_.empty()) {
        finish(PrimaryEnd::guest_ended, end_reason_);
        return;
    }
    ending_ = Ending::none;
    last_cut_ = false;
    source_.end();
    look_for_backup();
}

void Primary::look_for_backup() {
    const TimePoint::duration in_step =
        in_step_since_ ? host_.now() - *in_step_since_ : TimePoint::duration::zero();
    const TimePoint::duration delay = reconnect_delay_.next(in_step, std::exchange(unfit_, false));
    if (delay > ReconnectDelay::shortest) {
        log::notice("primary", "the backup is looked for again in {} s",
                    std::chrono::duration_cast<std::chrono::seconds>(delay).count());
    }
    host_.want_connection(delay);
}

// Who decides, or hands over, learns it from the claim, or from the backup.
void Primary::superseded() {
    if (state_ == State::deciding || state_ == State::handing_over) return;
    finish(PrimaryEnd::superseded, "another side has begun to run this guest");
}

}  // namespace fmvm::lockstep
