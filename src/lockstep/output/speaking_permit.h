// SPDX-License-Identifier: Apache-2.0
// The primary's half of the permit (docs/life.md): until when it may speak, by the signs that the
// backup has echoed.
//
// Time counts from when a sign was sent, because the backup's promise may have begun at once. An
// echo of a sign that was sent too long ago to matter grants nothing.
//
// Pure: time comes in as arguments. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "lockstep/channel/permit_terms.h"

namespace fmvm::lockstep {

class SpeakingPermit {
  public:
    explicit SpeakingPermit(PermitTerms terms) : terms_(terms) {}

    // A sign is about to be sent: `now` was read before. Returns its number, from 1 on.
    std::uint64_t sign(BootTime now) {
        ++newest_;
        sent_[newest_ % remembered] = now;
        return newest_;
    }

    // The peer has promised sign `number`. False: no such sign was sent yet, so the peer lies.
    bool echoed(std::uint64_t number) {
        if (number > newest_) return false;
        const bool is_remembered = number != 0 && newest_ - number < remembered;
        if (is_remembered && !renounced_ && number > echoed_) {
            echoed_ = number;
            until_ = sent_[number % remembered] + terms_.length - terms_.margin();
        }
        return true;
    }

    // What this side's guest has emitted may leave now.
    bool allows(BootTime now) const { return now < until_; }
    BootTime until() const { return until_; }

    bool is_renounced() const { return renounced_; }

    // Never again in this session: the guest is handed over.
    void renounce() {
        renounced_ = true;
        until_ = BootTime::zero();
    }

  private:
    static constexpr std::uint64_t remembered = 64;

    PermitTerms terms_;
    std::array<BootTime, remembered> sent_{};
    std::uint64_t newest_ = 0;
    std::uint64_t echoed_ = 0;
    BootTime until_{0};
    bool renounced_ = false;
};

}  // namespace fmvm::lockstep
