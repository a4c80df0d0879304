// SPDX-License-Identifier: Apache-2.0
// Transports over sockets that a test has made.
#pragma once

#include "lockstep/channel/transport.h"

namespace fmvm::test {

inline lockstep::Transport in_the_clear(UniqueFd socket) {
    return {std::move(socket), "192.0.2.1:7000", nullptr};
}

}  // namespace fmvm::test
