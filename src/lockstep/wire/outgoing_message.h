// SPDX-License-Identifier: Apache-2.0
// One message on its way out, between whoever makes it and whoever sends it.
#pragma once

#include "lockstep/wire/frame_codec.h"
#include "lockstep/wire/gathered_body.h"

namespace fmvm::lockstep {

struct OutgoingMessage {
    FrameType type = FrameType::invalid;
    GatheredBody body;
    bool empty() const { return body.empty(); }
};

}  // namespace fmvm::lockstep
