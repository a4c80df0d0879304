// SPDX-License-Identifier: Apache-2.0
// The states of a backup, the transitions between them and the messages that fit them. The tables
// are those of docs/protocol.md ("The backup"); a unit test compares them.
//
// Threads: none; pure.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/state_machine.h"
#include "lockstep/wire/fitting_message.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

enum class BackupState : std::uint8_t {
    listening,       // there is no primary
    greeting,        // somebody has connected and has not said who it is
    receiving,       // the initial copy is on its way
    following,       // an epoch is committed: this side could take over
    awaiting_flush,  // told to take over; what was replayed must be durable before it claims
    deciding,        // it claims the next generation
    awaiting_disks,  // it has won; somebody still holds what the guest needs
    discarding,      // the copy is not needed; its disks are still at work
    running,         // the guest runs here
    finished,        // the guest has ended, or could not be taken over
};

inline constexpr BackupState backup_states[] = {
    BackupState::listening,      BackupState::greeting,       BackupState::receiving,
    BackupState::following,      BackupState::awaiting_flush, BackupState::deciding,
    BackupState::awaiting_disks, BackupState::discarding,     BackupState::running,
    BackupState::finished,
};

const char* name_of(BackupState state);

std::span<const Transition<BackupState>> backup_transitions();
// What a primary may send, and when.
std::span<const FittingMessage<BackupState>> messages_to_backup();

// What somebody is told who connects in this state, in which nobody can: one sentence.
const char* why_not_listening(BackupState state);

// Where the guest is that a backup in this state knows of.
GuestPlace place_in(BackupState state);

// An error, one sentence for the primary, if a message of this type does not fit.
Result<void> check_turn(FrameType type, BackupState state);

}  // namespace fmvm::lockstep
