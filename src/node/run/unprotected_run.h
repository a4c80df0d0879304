// SPDX-License-Identifier: Apache-2.0
// A guest that runs in this process without a backup.
#pragma once

#include <boost/asio/io_context.hpp>
#include <string_view>

#include "node/run/guest_end.h"
#include "node/run/stop_request.h"

namespace fmvm::node {

// The machine runs. Returns when the guest has ended, by itself or because the operator asked for
// it; its vCPUs stand for good then. component: for the log.
GuestEnd run_until_end(Machine& machine, boost::asio::io_context& control, StopRequest& stop,
                       Occurrence<GuestEnd>& ending, std::string_view component);

}  // namespace fmvm::node
