// SPDX-License-Identifier: Apache-2.0
// An arbiter whose mount hangs when it is told to: questions then wait until it is told otherwise.
#pragma once

#include <condition_variable>
#include <mutex>

#include "lockstep/arbiter/arbiter.h"

namespace fmvm::test {

class FakeArbiter : public lockstep::Arbiter {
  public:
    Result<lockstep::Generation> newest() override { return lockstep::Generation{1}; }
    Result<lockstep::Claim> claim(lockstep::Generation) override { return lockstep::Claim::won; }
    Result<void> could_claim() override {
        const std::lock_guard lock(mutex_);
        if (read_only_) return Error("the mount is read-only");
        return {};
    }
    Result<void> mark_ended(lockstep::Generation) override { return {}; }
    Result<bool> has_ended(lockstep::Generation) override { return false; }
    Result<bool> is_newest(lockstep::Generation) override {
        std::unique_lock lock(mutex_);
        ++asked_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return !hangs_; });
        if (fails_) return Error("the mount is gone");
        return newest_;
    }

    // Any thread.
    void hang(bool hangs) {
        set([&] { hangs_ = hangs; });
    }
    void fail(bool fails) {
        set([&] { fails_ = fails; });
    }
    void make_read_only(bool read_only) {
        set([&] { read_only_ = read_only; });
    }
    void supersede() {
        set([&] { newest_ = false; });
    }
    unsigned asked() const {
        const std::lock_guard lock(mutex_);
        return asked_;
    }

  private:
    template <typename Set>
    void set(Set set) {
        const std::lock_guard lock(mutex_);
        set();
        changed_.notify_all();
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool hangs_ = false;
    bool fails_ = false;
    bool newest_ = true;
    bool read_only_ = false;
    unsigned asked_ = 0;
};

}  // namespace fmvm::test
