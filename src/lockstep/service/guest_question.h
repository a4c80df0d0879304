// SPDX-License-Identifier: Apache-2.0
// Asks whoever listens at an address which guest it runs, before a guest is started that might be
// the same one.
#pragma once

#include <chrono>
#include <optional>

#include "lockstep/channel/endpoint.h"
#include "lockstep/channel/tls_keyring.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

// Waits for the answer, at most so long. keys: null, in the clear. Nothing: nobody is there, or who
// is does not answer so.
std::optional<KnownGuestMessage> ask_for_guest(const Endpoint& peer,
                                               std::shared_ptr<TlsKeyring> keys,
                                               std::chrono::milliseconds limit);

}  // namespace fmvm::lockstep
