// SPDX-License-Identifier: Apache-2.0
// Clauses of the permit (docs/life.md) that a world can be without: each is needed if a rule of the
// world is broken then. The halves of the permit that a lifeline is given are the real ones, with
// something around them that forgets a clause.
#pragma once

#include <algorithm>
#include <map>

#include "lockstep/channel/permit_half.h"

namespace fmvm::sim {

enum class Without {
    nothing,
    margin,           // the primary speaks for all of the promise
    sending_time,     // its permit counts from when the echo came
    renouncing,       // it speaks on although it has handed its guest over
    boot_clock,       // its clock stands while its process is stopped
    awaited_promise,  // the backup speaks as soon as it has claimed
    own_length,       // the backup takes each promise for one of the shortest length
};

inline constexpr Without clauses[] = {Without::margin,          Without::sending_time,
                                      Without::renouncing,      Without::boot_clock,
                                      Without::awaited_promise, Without::own_length};

inline const char* name_of(Without without) {
    switch (without) {
        case Without::nothing:
            return "nothing";
        case Without::margin:
            return "the margin";
        case Without::sending_time:
            return "the time of sending";
        case Without::renouncing:
            return "renouncing at a hand-over";
        case Without::boot_clock:
            return "a clock that goes on while a side is stopped";
        case Without::awaited_promise:
            return "the wait for the last promise";
        case Without::own_length:
            return "a promise as long as its sign says";
    }
    return "";
}

// Passes on what a lifeline says and asks.
class AroundHalf : public lockstep::PermitHalf {
  public:
    using BootTime = lockstep::BootTime;
    AroundHalf(lockstep::PermitHalf& half, Without without) : half_(half), without_(without) {}

    std::chrono::microseconds sending(std::uint64_t number, bool asks, BootTime now) override {
        return half_.sending(number, asks, now);
    }
    bool takes(std::chrono::microseconds promise, BootTime now) override {
        return half_.takes(promise, now);
    }
    void echoed(std::uint64_t number, BootTime now) override { half_.echoed(number, now); }
    int wanted() const override { return half_.wanted(); }

  protected:
    lockstep::PermitHalf& half_;
    const Without without_;
};

// A primary's, which knows by itself until when it may speak.
class ForgetfulPrimary : public AroundHalf {
  public:
    using AroundHalf::AroundHalf;

    std::chrono::microseconds sending(std::uint64_t number, bool asks, BootTime now) override {
        const auto promise = AroundHalf::sending(number, asks, now);
        sent_[number] = {now, promise};
        return promise;
    }
    void echoed(std::uint64_t number, BootTime now) override {
        AroundHalf::echoed(number, now);
        const auto [at, promise] = sent_[number];
        const BootTime from = without_ == Without::sending_time ? now : at;
        const BootTime margin =
            without_ == Without::margin ? BootTime(0) : lockstep::permit_margin(promise);
        until_ = std::max(until_, from + promise - margin);
    }
    bool allows(BootTime now) const { return now < until_; }

  private:
    std::map<std::uint64_t, std::pair<BootTime, std::chrono::microseconds>> sent_;
    BootTime until_{0};
};

class ForgetfulBackup : public AroundHalf {
  public:
    ForgetfulBackup(lockstep::PermitHalf& half, Without without, std::chrono::microseconds shortest)
        : AroundHalf(half, without), shortest_(shortest) {}

    bool takes(std::chrono::microseconds promise, BootTime now) override {
        return AroundHalf::takes(without_ == Without::own_length ? shortest_ : promise, now);
    }

  private:
    const std::chrono::microseconds shortest_;
};

}  // namespace fmvm::sim
