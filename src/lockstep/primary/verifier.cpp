// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/verifier.h"

#include <utility>

namespace fmvm::lockstep {

Result<void> Verifier::begin(const VerifyOptions& options, EpochId memory_epoch) {
    if (comparison_) return Error("a comparison is under way; wait for its end");
    replay::Scrubber* const disks =
        options.disks ? source_.begin_scrub(options.bytes_per_second) : nullptr;
    if (disks == nullptr && !options.memory) {
        return Error(
            "there are no disks to compare: the guest has none, or both sides share them; leave "
            "--only disks out to compare memory");
    }
    if (options.memory) source_.digest_next();
    comparison_.emplace(disks, options.memory ? memory_epoch : 0, patience_, host_.now());
    return {};
}

Verifier::TimePoint Verifier::due() const {
    return comparison_ ? comparison_->due() : TimePoint::max();
}

OutgoingMessage Verifier::next(EpochId epoch) {
    if (!comparison_) return {};
    Result<OutgoingMessage> message = comparison_->next(epoch, host_.now());
    if (message.ok()) return std::move(message).value();
    end({VerifyOutcome::Kind::unfinished, message.error().message()});
    return {};
}

void Verifier::acknowledged(EpochId epoch) {
    if (comparison_) comparison_->acknowledged(epoch, host_.now());
}

Result<void> Verifier::checked(const Frame& frame) {
    if (!comparison_) return {};
    return comparison_->checked(frame, host_.now());
}

void Verifier::look() {
    if (!comparison_) return;
    host_.verifying(comparison_->progress());
    if (const auto outcome = comparison_->outcome(host_.now())) end(*outcome);
}

void Verifier::end(const VerifyOutcome& outcome) {
    if (!comparison_) return;
    comparison_.reset();
    source_.end_scrub();
    host_.verified(outcome);
}

}  // namespace fmvm::lockstep
