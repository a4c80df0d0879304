// SPDX-License-Identifier: Apache-2.0
// The end of a guest: on its way from the machine's threads to the control loop, and in words.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "node/run/occurrence.h"
#include "vmm/machine/machine.h"

namespace fmvm::node {

// Shared, because a machine may tell its end when whoever listened is gone.
using GuestEnding = std::shared_ptr<Occurrence<GuestEnd>>;

// A handler for Machine::on_end() that lets `ending` happen on the thread of `control`.
std::function<void(GuestEnd)> tell_on(boost::asio::io_context& control, GuestEnding ending);

// A few words, for the log and the peer.
std::string describe_end(GuestEnd end);

}  // namespace fmvm::node
