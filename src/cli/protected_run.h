// SPDX-License-Identifier: Apache-2.0
// A protected guest that runs in this process, until it ends or another side has it: signals,
// control commands, the service that keeps a backup in step. What a primary does from its start,
// and a backup from its takeover.
//
// Threads: the main one, which runs `control`; and what is posted to it.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands/verify_command.h"
#include "cli/machine_builder.h"
#include "lockstep/disks/mirrored_disks.h"
#include "lockstep/service/primary_service.h"
#include "node/config/protection_options.h"
#include "node/control/control_socket.h"

namespace fmvm::cli {

// What came of the guest, and of its protection.
struct Outcome {
    GuestEnd guest = GuestEnd::stopped;
    std::optional<lockstep::PrimaryEnd> end;
    std::string why;
};

// Says how it ended; the exit status for it. report: Machine::report().
int report_outcome(const Outcome& outcome, const std::string& report);

class ProtectedRun {
  public:
    using SharedGeneration = std::shared_ptr<std::atomic<lockstep::Generation>>;
    struct Guest {
        lockstep::VmId vm{};
        SharedGeneration generation;  // under which it runs here; follows what becomes of it
        lockstep::BlockMode block = lockstep::BlockMode::none;
    };

    // Machine and control loop outlive this. component: for the log.
    ProtectedRun(BuiltMachine& built, std::shared_ptr<lockstep::Arbiter> arbiter,
                 boost::asio::io_context& control, std::string component);
    // When run() has returned, the machine may be gone before.
    ~ProtectedRun();

    // backup: who protects the guest; none: nobody. The disks' labels say durably that the guest
    // runs on them when this returns.
    Result<void> prepare(const Guest& guest, const std::optional<lockstep::Endpoint>& backup,
                         const node::ReplicationOptions& options);
    // Offers the commands of a running guest.
    void serve(node::ControlSocket& socket);
    // The machine runs, or is about to. Returns when the guest does not run here any more.
    // guest_gone: called then, before anything is waited for: from there on a second signal ends
    // the process at once, should a disk never answer.
    Outcome run(const std::function<void()>& guest_gone);
    // From the machine's on_end(), by way of the control loop.
    void guest_ended(GuestEnd reason);

  private:
    Result<void> prepare_disks(const Guest& guest);
    void wait_for_stop();
    void wait_for_requests();
    void ended(lockstep::PrimaryEnd end, const std::string& why);
    void answer_switchover(bool done, const std::string& result);
    void leave_disks();
    void end_service();

    boost::asio::io_context& control_;
    BuiltMachine& built_;
    const std::shared_ptr<lockstep::Arbiter> arbiter_;
    const std::string component_;
    boost::asio::signal_set signals_;
    boost::asio::signal_set requests_;
    boost::asio::steady_timer farewell_;
    std::optional<node::ControlReply> switchover_;
    std::unique_ptr<lockstep::MirroredDisks> disks_;
    std::unique_ptr<VerifyRequests> verify_;  // while there is a service
    std::unique_ptr<lockstep::PrimaryService> service_;
    Outcome outcome_;
};

}  // namespace fmvm::cli
