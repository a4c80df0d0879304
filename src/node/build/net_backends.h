// SPDX-License-Identifier: Apache-2.0
// From the options of a network card to its backend and its address.
#pragma once

#include <memory>

#include "base/result.h"
#include "devices/net/net_backend.h"
#include "lockstep/arbiter/generation.h"
#include "node/config/net_options.h"
#include "vmm/loop/event_loop.h"

namespace fmvm::node {

// Opens the TAP or the socket. An error is one sentence that begins with "net" and the option.
Result<std::unique_ptr<NetBackend>> open_net(EventLoop& loop, const NetOptions& options);

// The address of card `number`. Without one of its own it follows from who the guest is: a
// protected guest's identity, which is the same on both hosts and after every start; otherwise this
// host and what the card is plugged into.
MacAddress mac_address_of(const NetOptions& options, const lockstep::VmId& vm, unsigned number);

}  // namespace fmvm::node
