// SPDX-License-Identifier: Apache-2.0
// The backup's half of the permit (docs/life.md): it promises that this side does not speak for a
// while, until a claim has begun.
//
// Whether a sign is promised and whether a claim has begun is decided under one lock. So no sign is
// promised after the claim, and each one that was promised is waited for.
//
// A primary that hands its guest over has renounced what it was promised, so that this side need
// not wait.
//
// One gate is for one session. Threads: any.
#pragma once

#include <cstdint>
#include <optional>

#include "base/mutex.h"
#include "lockstep/channel/permit_half.h"

namespace fmvm::lockstep {

class ClaimGate : public PermitHalf {
  public:
    explicit ClaimGate(PermitTerms terms) : terms_(terms) {}

    // A sign of the primary has come; true: echo it. `now` was read after its arrival.
    bool promise(BootTime now) {
        const Lock lock(mutex_);
        if (!open_) return false;
        promised_at_ = now;
        return true;
    }

    // The primary has renounced: nothing is promised any more, and nothing will be.
    void release() {
        const Lock lock(mutex_);
        open_ = false;
        promised_at_.reset();
    }

    // A claim begins. This side may speak from the returned time on, by its own clock. Idempotent.
    BootTime close() {
        const Lock lock(mutex_);
        open_ = false;
        return promised_at_ ? *promised_at_ + terms_.length : BootTime::zero();
    }

    void sending(std::uint64_t /*number*/, BootTime /*now*/) override {}
    bool takes(BootTime now) override { return promise(now); }
    void echoed(std::uint64_t /*number*/, BootTime /*now*/) override {}
    int wanted() const override { return -1; }

  private:
    const PermitTerms terms_;
    Mutex mutex_;
    bool open_ FMVM_GUARDED_BY(mutex_) = true;
    std::optional<BootTime> promised_at_ FMVM_GUARDED_BY(mutex_);
};

}  // namespace fmvm::lockstep
