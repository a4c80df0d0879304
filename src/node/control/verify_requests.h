// SPDX-License-Identifier: Apache-2.0
// The command "verify" of a running primary's control socket, with "memory", "disks" and
// "bytes_per_second": compares the guest with the backup's copy.
//
// Threads: that of `control`.
#pragma once

#include <boost/asio/io_context.hpp>
#include <optional>

#include "lockstep/service/primary_service.h"
#include "node/control/control_socket.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::node {

// One comparison at a time; it ends when its client goes away.
class VerifyRequests {
  public:
    // All outlive this, and this outlives the service's threads.
    VerifyRequests(boost::asio::io_context& control, lockstep::PrimaryService& service)
        : control_(control), service_(service) {}
    void serve(ControlSocket& socket);

  private:
    void begin(const JsonValue& request, const ControlReply& reply);
    void progress(const replay::ScrubProgress& progress);
    void finished(const lockstep::VerifyOutcome& outcome);

    boost::asio::io_context& control_;
    lockstep::PrimaryService& service_;
    std::optional<ControlReply> reply_;  // set while a comparison is under way
    TaskScope tasks_;                    // last: its tasks use the rest
};

}  // namespace fmvm::node
