// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/mutex.h"
#include "lockstep/arbiter/arbiter.h"

namespace fmvm::lockstep {

namespace {

// Remembers what this process claimed, so that its answers agree with each other.
class NoArbiter : public Arbiter {
  public:
    Result<Generation> newest() override {
        const Lock lock(mutex_);
        return newest_;
    }
    Result<Claim> claim(Generation generation) override {
        const Lock lock(mutex_);
        newest_ = std::max(newest_, generation);
        return Claim::won;
    }
    Result<void> could_claim() override { return {}; }
    Result<bool> is_newest(Generation) override { return true; }
    Result<void> mark_ended(Generation own) override {
        const Lock lock(mutex_);
        ended_ = own;
        return {};
    }
    Result<bool> has_ended(Generation generation) override {
        const Lock lock(mutex_);
        return generation != 0 && ended_ == generation;
    }

  private:
    Mutex mutex_;
    Generation newest_ FMVM_GUARDED_BY(mutex_) = 0;
    Generation ended_ FMVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace

std::unique_ptr<Arbiter> create_no_arbiter() {
    return std::make_unique<NoArbiter>();
}

}  // namespace fmvm::lockstep
