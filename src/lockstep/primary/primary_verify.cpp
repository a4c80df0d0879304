// SPDX-License-Identifier: Apache-2.0
// A comparison of the two sides that an operator has asked for, beside the protection.
#include <utility>

#include "base/units.h"
#include "lockstep/primary/primary.h"

namespace fmvm::lockstep {

namespace {

// How long a comparison may get nowhere: the backup needs an epoch with digests and the next one,
// and digests all of its memory in between.
std::chrono::microseconds patience(const PrimaryOptions& options) {
    const std::chrono::seconds digesting(options.shape.memory_bytes / gib);
    return std::chrono::seconds(10) + digesting + 3 * options.policy.interval_max;
}

}  // namespace

Result<void> Primary::verify(const VerifyOptions& options) {
    if (state_ != State::following || !commit_sent_ || ending_ != Ending::none)
        return Error("no backup is in step; wait until the log says that the guest is protected");
    if (verification_) return Error("a comparison is under way; wait for its end");
    replay::Scrubber* const disks =
        options.disks ? source_.begin_scrub(options.bytes_per_second) : nullptr;
    if (disks == nullptr && !options.memory) {
        return Error(
            "there are no disks to compare: the guest has none, or both sides share them; leave "
            "--only disks out to compare memory");
    }
    if (options.memory) source_.digest_next();
    verification_.emplace(disks, options.memory ? epoch_ + 1 : 0, patience(options_), host_.now());
    pump();
    return {};
}

void Primary::stop_verifying() {
    end_verification({VerifyOutcome::Kind::unfinished, "the operator has ended it"});
}

void Primary::look_at_verification() {
    if (!verification_) return;
    host_.verifying(verification_->progress());
    if (auto outcome = verification_->outcome(host_.now())) end_verification(std::move(*outcome));
}

void Primary::end_verification(VerifyOutcome outcome) {
    if (!verification_) return;
    verification_.reset();
    source_.end_scrub();
    host_.verified(std::move(outcome));
}

// Between the commit of an epoch and the next cut; not while the guest stands for it.
bool Primary::may_verify() const {
    const bool guest_waits = policy_.waits_for_ack() && !sent_.empty();
    return verification_ && state_ == State::following && !packing_ && ending_ == Ending::none &&
           !guest_waits;
}

bool Primary::verify_step() {
    Result<OutgoingMessage> piece = verification_->next(epoch_, host_.now());
    if (!piece.ok()) {
        end_verification({VerifyOutcome::Kind::unfinished, piece.error().message()});
        return false;
    }
    if (piece->empty()) return false;
    send(std::move(*piece));
    return true;
}

}  // namespace fmvm::lockstep
