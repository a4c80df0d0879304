// SPDX-License-Identifier: Apache-2.0
// A lifeline over TCP, with a thread of its own that goes before all others where that is permitted
// (CAP_SYS_NICE or RLIMIT_RTPRIO): a host with load must not look dead. Where it is not, the log
// says so once, with the remedy.
//
// That thread touches no disk, takes no lock that bulk work holds, and allocates nothing once it
// has begun: it may not wait for anything but its socket and its clock. (TLS allocates when it
// renews its keys, once in a million signs.)
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "base/result.h"
#include "lockstep/channel/endpoint.h"
#include "lockstep/channel/lifeline.h"
#include "lockstep/channel/transport.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

// The primary's. It joins on its own thread, before it has begun; that it could not is a loss.
// `user`: the loop of the user's thread. keys: null, in the clear.
Result<std::unique_ptr<Lifeline>> join_by_lifeline(boost::asio::io_context& user,
                                                   const Endpoint& backup,
                                                   std::shared_ptr<TlsKeyring> keys,
                                                   const JoinMessage& join, Lifeline::Terms terms);
// The backup's: the other end has joined (joiner.h).
Result<std::unique_ptr<Lifeline>> make_lifeline(boost::asio::io_context& user, Transport transport,
                                                Lifeline::Terms terms);

}  // namespace fmvm::lockstep
