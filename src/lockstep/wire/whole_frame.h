// SPDX-License-Identifier: Apache-2.0
// A frame in one piece, for who sends one and no more: connections that join a channel, and those
// who answer them.
#pragma once

#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

// The first of its direction of a connection.
template <typename Message>
Body whole_frame(const Message& message) {
    const Body body = message.encode();
    const FrameHeader header = make_frame_header(Message::type, 0, body);
    Body frame(header.begin(), header.end());
    frame.insert(frame.end(), body.begin(), body.end());
    return frame;
}

}  // namespace fmvm::lockstep
