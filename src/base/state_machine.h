// SPDX-License-Identifier: Apache-2.0
// A state machine that obeys a table: entering a state that the table does not allow from the
// present one is a fault of our own and ends the process. A unit test compares such a table with
// the one in the documentation (tests/support/documented_tables.h), so that neither drifts.
//
// `State` is an enum with a name_of(State) beside it.
//
// Threads: none; a state machine belongs to whoever drives it.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/check.h"

namespace fmvm {

template <typename State>
struct Transition {
    State from;
    State to;
};

template <typename State>
class StateMachine {
  public:
    using Table = std::span<const Transition<State>>;

    // What `table` refers to outlives this.
    StateMachine(State initial, Table table) : state_(initial), table_(table) {}

    State state() const { return state_; }
    bool is(State state) const { return state_ == state; }
    bool may_enter(State next) const {
        return std::ranges::any_of(table_, [&](const Transition<State>& transition) {
            return transition.from == state_ && transition.to == next;
        });
    }
    void enter(State next) {
        if (!may_enter(next)) [[unlikely]] {
            const auto transition = fmt::format("{} -> {}", name_of(state_), name_of(next));
            check_failed(transition.c_str(), __FILE__, __LINE__);
        }
        state_ = next;
    }

  private:
    State state_;
    Table table_;
};

// Some states of an enum with fewer than 32.
template <typename State>
class StateSet {
  public:
    constexpr StateSet(std::initializer_list<State> states) {
        for (const State state : states)
            bits_ |= bit(state);
    }
    constexpr bool contains(State state) const { return (bits_ & bit(state)) != 0; }

  private:
    static constexpr std::uint32_t bit(State state) {
        return std::uint32_t{1} << static_cast<unsigned>(state);
    }
    std::uint32_t bits_ = 0;
};

}  // namespace fmvm
