// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/verification.h"

#include <algorithm>

#include "base/units.h"

namespace fmvm::lockstep {

Result<OutgoingMessage> Verification::next(EpochId epoch, TimePoint now) {
    if (disks_ == nullptr) return OutgoingMessage{};
    const auto check = FMVM_TRY(disks_->next(epoch, now));
    if (!check) return OutgoingMessage{};
    return OutgoingMessage{FrameType::disk_check, check->encode()};
}

void Verification::acknowledged(EpochId epoch, TimePoint now) {
    if (memory_epoch_ == 0 || epoch <= memory_epoch_) return;
    memory_epoch_ = 0;
    memory_compared_ = true;
    advanced_ = now;
}

Result<void> Verification::checked(const Frame& frame, TimePoint now) {
    const auto message = FMVM_TRY(replay::CheckedMessage::decode(frame.body));
    if (disks_ == nullptr) return {};  // of a comparison before this one
    const std::uint64_t before = disks_->progress().bytes_equal;
    FMVM_TRY(disks_->on_checked(message));
    if (disks_->progress().bytes_equal != before) advanced_ = now;
    return {};
}

Verification::TimePoint Verification::due() const {
    const TimePoint impatient = advanced_ + patience_;
    return disks_ == nullptr ? impatient : std::min(impatient, disks_->due());
}

std::optional<VerifyOutcome> Verification::outcome(TimePoint now) const {
    if (memory_epoch_ == 0 && (disks_ == nullptr || disks_->finished())) return equal(now);
    if (now < advanced_ + patience_) return std::nullopt;
    return VerifyOutcome{VerifyOutcome::Kind::unfinished, why_unfinished()};
}

VerifyOutcome Verification::equal(TimePoint now) const {
    const double seconds = std::chrono::duration<double>(now - began_).count();
    const char* const memory = memory_compared_ ? "memory" : "";
    const char* const both = memory_compared_ && disks_ != nullptr ? " and " : "";
    if (disks_ == nullptr)
        return {VerifyOutcome::Kind::equal,
                fmt::format("equal: {} ({:.1f} s); no disks were compared", memory, seconds)};
    return {VerifyOutcome::Kind::equal,
            fmt::format("equal: {}{}{:.1f} MiB of disks ({:.1f} s)", memory, both,
                        static_cast<double>(progress().bytes_total) / static_cast<double>(mib),
                        seconds)};
}

std::string Verification::why_unfinished() const {
    const double seconds = std::chrono::duration<double>(patience_).count();
    if (memory_epoch_ != 0)
        return fmt::format("no epoch with memory's digests was acknowledged within {:.0f} s",
                           seconds);
    if (!disks_->all_answered())
        return fmt::format("the backup has not answered for {:.0f} s", seconds);
    return fmt::format(
        "{} blocks of 64 KiB are written all the time and could not be compared; all others are "
        "equal; ask again when the guest writes less",
        disks_->blocks_left());
}

replay::ScrubProgress Verification::progress() const {
    return disks_ == nullptr ? replay::ScrubProgress{} : disks_->progress();
}

}  // namespace fmvm::lockstep
