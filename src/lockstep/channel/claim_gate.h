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
// The primary says with each sign for how long it wants this side's silence. One gate is for one
// session. Threads: any.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/mutex.h"
#include "lockstep/channel/permit_half.h"

namespace fmvm::lockstep {

class ClaimGate : public PermitHalf {
  public:
    // longest: nothing longer is promised.
    explicit ClaimGate(std::chrono::nanoseconds longest) : longest_(longest) {}

    // A sign of the primary has come that wants a promise of this length; true: echo it. `now` was
    // read after its arrival.
    bool promise(std::chrono::nanoseconds length, BootTime now) {
        const Lock lock(mutex_);
        if (!open_ || length > longest_) return false;
        silent_until_ = std::max(silent_until_, now + length);
        return true;
    }

    // The primary has renounced: nothing is promised any more, and nothing will be.
    void release() {
        const Lock lock(mutex_);
        open_ = false;
        silent_until_ = BootTime::zero();
    }

    // A claim begins. This side may speak from the returned time on, by its own clock. Idempotent.
    BootTime close() {
        const Lock lock(mutex_);
        open_ = false;
        return silent_until_;
    }

    std::chrono::microseconds sending(std::uint64_t /*number*/, bool /*asks*/,
                                      BootTime /*now*/) override {
        return {};
    }
    bool takes(std::chrono::microseconds length, BootTime now) override {
        return promise(length, now);
    }
    void echoed(std::uint64_t /*number*/, BootTime /*now*/) override {}
    int wanted() const override { return -1; }

  private:
    const std::chrono::nanoseconds longest_;
    Mutex mutex_;
    bool open_ FMVM_GUARDED_BY(mutex_) = true;
    BootTime silent_until_ FMVM_GUARDED_BY(mutex_){0};
};

}  // namespace fmvm::lockstep
