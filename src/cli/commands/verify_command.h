// SPDX-License-Identifier: Apache-2.0
// `fmvm verify`: asks a running primary, by its control socket, to compare its guest's memory and
// disks with the backup's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <optional>
#include <string>

#include "lockstep/service/primary_service.h"
#include "node/control/control_socket.h"

namespace fmvm::cli {

struct VerifyCommandOptions {
    std::string control;  // path of the socket
    lockstep::VerifyOptions compare;
};

// Shows how far it is on a terminal. Returns an ExitStatus as the process's exit status.
int verify_command(const VerifyCommandOptions& options);

// The running side: the command "verify" with "memory", "disks" and "bytes_per_second". One
// comparison at a time; it ends when its client goes away. Threads: that of `control`.
class VerifyRequests {
  public:
    // All outlive this; and it the service's threads.
    VerifyRequests(boost::asio::io_context& control, lockstep::PrimaryService& service)
        : control_(control), service_(service) {}
    void serve(node::ControlSocket& socket);

  private:
    void begin(const JsonValue& request, const node::ControlReply& reply);
    void progress(const replay::ScrubProgress& progress);
    void finished(const lockstep::VerifyOutcome& outcome);

    boost::asio::io_context& control_;
    lockstep::PrimaryService& service_;
    std::optional<node::ControlReply> reply_;  // set while a comparison is under way
};

}  // namespace fmvm::cli
