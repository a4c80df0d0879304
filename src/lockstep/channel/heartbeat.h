// SPDX-License-Identifier: Apache-2.0
// When a side of a connection owes its peer a sign of life: when it has sent nothing for an
// interval (the side that answers: for one and a quarter).
//
// Both sides owe one at the same rate, and each costs the one that sends and the one that hears it
// a wake-up. So one side leads; the other answers at once, in the wake-up that hearing the first
// one is anyway, and begins by itself only when the leading one is late.
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

    // Owes nothing.
    Heartbeat() = default;
    Heartbeat(Duration interval, Role role, TimePoint now)
        : interval_(interval), role_(role), sent_(now) {}

    Duration interval() const { return interval_; }
    bool begun() const { return interval_ != Duration::zero(); }

    // Anything, bulk too.
    void sent(TimePoint now) { sent_ = now; }
    // It is due; a little early is better than another wake-up.
    bool is_due(TimePoint now) const { return begun() && now >= due_at() - interval_ / 8; }
    // Something was heard, and is to be answered with a sign of life.
    bool owes_answer(TimePoint now) const {
        return begun() && role_ == Role::answers && now >= sent_ + interval_ / 2;
    }
    // When is_due() is to be asked.
    TimePoint due_at() const {
        return sent_ + (role_ == Role::leads ? interval_ : interval_ + interval_ / 4);
    }

  private:
    Duration interval_{0};
    Role role_ = Role::leads;
    TimePoint sent_{};
};

}  // namespace fmvm::lockstep
