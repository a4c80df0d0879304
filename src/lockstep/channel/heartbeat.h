// SPDX-License-Identifier: Apache-2.0
// When a side of a connection owes its peer a sign of life.
//
// The side that leads owes one when it has sent nothing for an interval. The other side answers at
// once: hearing the sign woke it up anyway, so that the answer costs it no second wake-up. It
// begins by itself only when the leading side is late, after one and a quarter intervals.
//
// Pure: time comes in as arguments.
#pragma once

#include <chrono>

namespace fmvm::lockstep {

class Heartbeat {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Duration = std::chrono::steady_clock::duration;
    enum class Role { leads, answers };

    // One that never owes anything.
    Heartbeat() = default;
    Heartbeat(Duration interval, Role role, TimePoint now)
        : interval_(interval), role_(role), sent_(now) {}

    Duration interval() const { return interval_; }
    bool begun() const { return interval_ != Duration::zero(); }

    // Anything was sent, including bulk.
    void sent(TimePoint now) { sent_ = now; }
    // A sign is due. A little early is better than another wake-up.
    bool is_due(TimePoint now) const { return begun() && now >= due_at() - interval_ / 8; }
    // Whether something that was just heard is to be answered with a sign of life.
    bool owes_answer(TimePoint now) const {
        return begun() && role_ == Role::answers && now >= sent_ + interval_ / 2;
    }
    // When is_due() has to be asked next.
    TimePoint due_at() const {
        return sent_ + (role_ == Role::leads ? interval_ : interval_ + interval_ / 4);
    }

  private:
    Duration interval_{0};
    Role role_ = Role::leads;
    TimePoint sent_{};
};

}  // namespace fmvm::lockstep
