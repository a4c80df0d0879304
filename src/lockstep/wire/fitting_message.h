// SPDX-License-Identifier: Apache-2.0
// Which messages of the peer fit which states of this side. A state machine has a table of them;
// a message that is not in it, or does not fit the state, is refused (docs/protocol.md).
//
// Threads: none; pure.
#pragma once

#include <algorithm>
#include <span>

#include "base/state_machine.h"
#include "lockstep/wire/frame_codec.h"

namespace fmvm::lockstep {

template <typename State>
struct FittingMessage {
    FrameType type;
    StateSet<State> states;
};

template <typename State>
bool fits(std::span<const FittingMessage<State>> table, FrameType type, State state) {
    return std::ranges::any_of(table, [&](const FittingMessage<State>& message) {
        return message.type == type && message.states.contains(state);
    });
}

}  // namespace fmvm::lockstep
