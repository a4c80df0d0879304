// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/primary_state.h"

#include <array>
#include <catch2/catch.hpp>

#include "support/documented_tables.h"

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

constexpr std::array states{PrimaryState::alone,        PrimaryState::greeting,
                            PrimaryState::copying,      PrimaryState::following,
                            PrimaryState::handing_over, PrimaryState::deciding,
                            PrimaryState::finished};

}  // namespace

TEST_CASE("primary state: the protocol's document has the code's transitions, and no others",
          "[primary]") {
    CHECK(test::documented_transitions("The primary") ==
          test::named_transitions(primary_transitions()));
}

TEST_CASE("primary state: the protocol's document says which messages fit which states",
          "[primary]") {
    CHECK(test::documented_messages("The primary") ==
          test::named_messages(primary_messages(), std::span<const PrimaryState>(states)));
}

TEST_CASE("primary state: what a backup never sends is refused in every state", "[primary]") {
    for (const PrimaryState state : states) {
        CHECK(check_turn(FrameType::commit, state).error().message() ==
              "it sent a message of type 7, which a backup does not send");
        CHECK(check_turn(static_cast<FrameType>(optional_frame_bit | 99), state).ok());
    }
}

TEST_CASE("primary state: a message that does not fit is named in the refusal", "[primary]") {
    CHECK(check_turn(FrameType::welcome, PrimaryState::greeting).ok());
    CHECK(check_turn(FrameType::welcome, PrimaryState::following).error().message() ==
          "it sent \"welcome\" out of turn: this side is following");
}

TEST_CASE("primary state: nothing leads out of the end, and every other state leads to it",
          "[primary]") {
    for (const PrimaryState from : states) {
        const StateMachine<PrimaryState> machine(from, primary_transitions());
        CHECK(machine.may_enter(PrimaryState::finished) == (from != PrimaryState::finished));
        if (from != PrimaryState::finished) continue;
        for (const PrimaryState to : states)
            CHECK_FALSE(machine.may_enter(to));
    }
}
