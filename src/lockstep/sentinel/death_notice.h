// SPDX-License-Identifier: Apache-2.0
// What the sentinel of a primary says to its backup (docs/protocol.md, "Joining"): it joins the
// channel, and says the channel's session once more when the primary has died.
#pragma once

#include "lockstep/channel/endpoint.h"
#include "lockstep/channel/tls_keyring.h"
#include "lockstep/sentinel/last_word.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

// keys: null, in the clear. join: its kind is a sentinel.
LastWord death_notice(const Endpoint& backup, const std::shared_ptr<TlsKeyring>& keys,
                      const JoinMessage& join);

}  // namespace fmvm::lockstep
