// SPDX-License-Identifier: Apache-2.0
// The primary's half of the permit (docs/life.md): until when it may speak, by the signs that the
// backup has echoed, and how long a promise each sign asks for.
//
// Time counts from when a sign was sent, because the backup's promise may have begun at once. An
// echo of a sign that was sent too long ago to matter grants nothing.
//
// A promise has to last longer than a sign and its echo take, or it is over when it is known. So
// the time that they take is measured, and promises are three times as long, within the terms.
//
// Pure: time comes in as arguments. Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "lockstep/channel/permit_terms.h"

namespace fmvm::lockstep {

class SpeakingPermit {
  public:
    using Duration = std::chrono::nanoseconds;

    explicit SpeakingPermit(PermitTerms terms) : terms_(terms) {}

    struct Asked {
        std::uint64_t number;  // of the sign, from 1 on
        std::chrono::microseconds promise;
    };
    // A sign is about to be sent: `now` was read before. answered: the peer echoes it at once.
    Asked sign(BootTime now, bool answered) {
        ++newest_;
        const Duration wanted = std::clamp(3 * round_trip_, terms_.shortest, terms_.longest);
        const auto promise = std::chrono::floor<std::chrono::microseconds>(wanted);
        sent_[newest_ % remembered] = {now, promise, answered};
        return {newest_, promise};
    }

    // The peer has promised what sign `number` asked for. False: no such sign was sent yet, so the
    // peer lies.
    bool echoed(std::uint64_t number, BootTime now) {
        if (number > newest_) return false;
        const bool is_remembered = number != 0 && newest_ - number < remembered;
        if (is_remembered && !renounced_ && number > echoed_) {
            echoed_ = number;
            const Sent& sign = sent_[number % remembered];
            until_ = std::max(until_, sign.at + sign.promise - permit_margin(sign.promise));
            newest_way_ = now - sign.at;
            if (sign.answered) measure(newest_way_);
        }
        return true;
    }

    // What this side's guest has emitted may leave now.
    bool allows(BootTime now) const { return now < until_; }
    BootTime until() const { return until_; }
    // How long the newest echo came after its sign.
    Duration newest_way() const { return newest_way_; }

    bool is_renounced() const { return renounced_; }

    // Never again in this session: the guest is handed over.
    void renounce() {
        renounced_ = true;
        until_ = BootTime::zero();
    }

  private:
    struct Sent {
        BootTime at{0};
        std::chrono::microseconds promise{0};
        bool answered = false;
    };
    static constexpr std::uint64_t remembered = 64;

    // Longer ways count at once, shorter ones by and by.
    void measure(Duration way) {
        round_trip_ = way > round_trip_ ? way : round_trip_ - (round_trip_ - way) / 8;
    }

    PermitTerms terms_;
    std::array<Sent, remembered> sent_{};
    std::uint64_t newest_ = 0;
    std::uint64_t echoed_ = 0;
    BootTime until_{0};
    Duration round_trip_{0};
    Duration newest_way_{0};
    bool renounced_ = false;
};

}  // namespace fmvm::lockstep
