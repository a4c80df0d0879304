// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/backup_state.h"

#include <catch2/catch.hpp>

#include "support/documented_tables.h"

using namespace fmvm;
using namespace fmvm::lockstep;

TEST_CASE("backup state: the protocol's document has the code's transitions, and no others") {
    CHECK(test::documented_transitions("The backup") ==
          test::named_transitions(backup_transitions()));
}

TEST_CASE("backup state: the protocol's document says which messages fit which states") {
    CHECK(test::documented_messages("The backup") ==
          test::named_messages(messages_to_backup(), std::span<const BackupState>(backup_states)));
}

TEST_CASE("backup state: nothing leads out of an end, and something leads out of the others") {
    for (const BackupState state : backup_states) {
        const bool is_end = state == BackupState::running || state == BackupState::finished;
        CHECK(is_end == std::ranges::none_of(backup_transitions(), [state](const auto& transition) {
                  return transition.from == state;
              }));
    }
}

TEST_CASE("backup state: a message that does not fit is refused by a sentence that names it") {
    CHECK(check_turn(FrameType::commit, BackupState::following).ok());
    CHECK(check_turn(FrameType::hello, BackupState::following).error().message() ==
          "its message \"hello\" does not fit: this backup is following");
    CHECK(check_turn(FrameType::pages, BackupState::greeting).error().message() ==
          "the first message must be a hello");
    CHECK(check_turn(FrameType::pages, BackupState::awaiting_flush).error().message() ==
          "a message after the switch-over");
    CHECK(check_turn(FrameType::ack, BackupState::following).error().message() ==
          "a message of type 8, which a primary does not send");
}

TEST_CASE("backup state: an optional message that is unknown fits while the guest is followed") {
    const auto optional = static_cast<FrameType>(optional_frame_bit | 99);
    for (const BackupState state : backup_states) {
        const bool follows = state == BackupState::receiving || state == BackupState::following;
        CHECK(check_turn(optional, state).ok() == follows);
        CHECK_FALSE(check_turn(static_cast<FrameType>(99), state).ok());
    }
}

TEST_CASE("backup state: who connects while nobody can is told why") {
    for (const BackupState state : backup_states) {
        if (state != BackupState::listening) CHECK(why_not_listening(state) != std::string());
    }
    CHECK(why_not_listening(BackupState::discarding) !=
          std::string(why_not_listening(BackupState::following)));
}
