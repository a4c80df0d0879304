// SPDX-License-Identifier: Apache-2.0
// A protected guest that runs in this process, until it ends or another side has it: signals,
// control commands, the service that keeps a backup in step. A primary has one from its start, a
// backup from its takeover.
//
// Threads: the main one, which runs `control`, and what is posted to it.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lockstep/disks/mirrored_disks.h"
#include "lockstep/service/primary_service.h"
#include "node/build/machine_builder.h"
#include "node/config/protection_options.h"
#include "node/control/control_socket.h"
#include "node/control/verify_requests.h"
#include "node/run/guest_end.h"
#include "node/run/stop_request.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::node {

// Keeps freed memory for the next message: a protected guest sends and receives hundreds of large
// ones a second, and mapping each anew would cost more than copying it. Once, at the start.
void keep_message_memory();

// What became of the guest, and of its protection.
struct Outcome {
    GuestEnd guest = GuestEnd::stopped;
    // Nothing: neither the backup nor the arbiter could be told of the guest's end in time.
    std::optional<lockstep::PrimaryEnd> end;
    std::string why;
};

// Shows people what happens in this process. Called on any thread.
struct Watcher {
    std::function<void(const std::string&)> figures;   // of the last epochs, asked for by SIGUSR1
    std::function<void(const std::string&)> progress;  // of the initial copy to a backup
};

class ProtectedRun {
  public:
    using SharedGeneration = std::shared_ptr<std::atomic<lockstep::Generation>>;
    struct Guest {
        lockstep::VmId vm{};
        SharedGeneration generation;  // under which it runs here; follows what becomes of it
        std::shared_ptr<lockstep::PairPermit> pair;  // by which its output leaves
        lockstep::BlockMode block = lockstep::BlockMode::none;
        bool has_arbiter = true;  // false: --arbiter none
    };
    // The process around a run. Loop and stop request outlive it.
    struct Surroundings {
        boost::asio::io_context& control;
        StopRequest& stop;
        GuestEnding ending;  // the guest's
        Watcher watcher;
        lockstep::Sentinel* sentinel;  // of the process; outlives the run. Null: there is none
        std::shared_ptr<lockstep::TlsKeyring> keys;  // that backups hold; null: in the clear
    };

    // The backup may take this long to learn that the guest has ended; then the run ends all the
    // same.
    static constexpr std::chrono::seconds farewell_limit{10};

    // component: for the log. The machine outlives prepare() and run().
    ProtectedRun(BuiltMachine& built, std::shared_ptr<lockstep::Arbiter> arbiter,
                 Surroundings surroundings, std::string component);
    // The machine may be gone if run() has returned.
    ~ProtectedRun();

    // backup: who protects the guest, if anybody does. When this returns, the disks' labels say
    // durably that the guest runs on them.
    Result<void> prepare(const Guest& guest, const std::optional<lockstep::Endpoint>& backup,
                         const ReplicationOptions& options);
    // Offers the commands of a running guest.
    void serve(ControlSocket& socket);
    // The machine runs, or is about to. Returns when the guest does not run here any more.
    // guest_gone: called as soon as that is so, before anything is waited for.
    Outcome run(const std::function<void()>& guest_gone);

  private:
    void drain_output();
    Result<void> prepare_disks(const Guest& guest);
    void listen();
    void show_figures_when_asked();
    void guest_ended(GuestEnd reason);
    void ended(lockstep::PrimaryEnd end, const std::string& why);
    void answer_switchover(bool done, const std::string& result);
    void leave_disks();
    void end_service();

    BuiltMachine& built_;
    const std::shared_ptr<lockstep::Arbiter> arbiter_;
    const Surroundings around_;
    const std::string component_;
    boost::asio::signal_set figures_wanted_;
    boost::asio::steady_timer farewell_;
    std::optional<ControlReply> switchover_;  // who has asked for one
    std::unique_ptr<lockstep::MirroredDisks> disks_;
    std::unique_ptr<VerifyRequests> verify_;  // while there is a service
    Outcome outcome_;
    TaskScope tasks_;  // outlives the service, whose thread posts them
    std::unique_ptr<lockstep::PrimaryService> service_;
};

}  // namespace fmvm::node
