// SPDX-License-Identifier: Apache-2.0
// A backup until its guest runs here, or never will: it listens for a primary, builds the machine
// that follows that one's guest, and takes over when the primary dies or hands over.
//
//   WaitingBackup  --TakenOver-->  ProtectedRun (or run_until_end, if nobody can protect the guest)
//
// Threads: the main one, which runs `control`. What BackupUser asks for comes on the replication
// thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "lockstep/service/backup_service.h"
#include "node/config/protection_options.h"
#include "node/control/control_socket.h"
#include "node/run/standby_machine.h"
#include "node/run/state_directory.h"
#include "node/run/stop_request.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::node {

// A guest that runs here from now on.
struct TakenOver {
    std::unique_ptr<StandbyMachine> standby;
    std::shared_ptr<lockstep::Arbiter> arbiter;
};

// Why the guest does not come here.
struct NotTakenOver {
    enum class Reason {
        guest_ended,  // on the primary; text: how
        stopped,      // by the operator, here
        failed,       // the guest was to run here and cannot; text: why
    };
    Reason reason = Reason::failed;
    std::string text;
};

using WaitResult = std::variant<TakenOver, NotTakenOver>;

class WaitingBackup : private lockstep::BackupUser {
  public:
    // Listens. All that is given outlives the backup.
    // keys: by which its primary is known; null: in the clear.
    static Result<std::unique_ptr<WaitingBackup>> create(const Kvm& kvm,
                                                         const BackupCommandOptions& options,
                                                         std::shared_ptr<lockstep::TlsKeyring> keys,
                                                         StateDirectory& directory,
                                                         boost::asio::io_context& control,
                                                         StopRequest& stop);
    ~WaitingBackup() override;

    // Offers the commands of a backup.
    void serve(ControlSocket& socket);
    // Once. While a guest that was taken over runs, this object must live on: it tells so whoever
    // connects.
    WaitResult wait();

  private:
    WaitingBackup(const Kvm& kvm, const BackupCommandOptions& options, StateDirectory& directory,
                  boost::asio::io_context& control, StopRequest& stop);

    Result<std::unique_ptr<lockstep::Standby>> build(const lockstep::HelloMessage& hello) override;
    OpenArbiter arbiter(const lockstep::HelloMessage& hello) override;
    void took_over(std::unique_ptr<lockstep::Standby> standby,
                   std::shared_ptr<lockstep::Arbiter> arbiter,
                   lockstep::Generation generation) override;
    void guest_ended(const std::string& reason) override;
    void failed(const std::string& why) override;

    Result<void> check_hello(const lockstep::HelloMessage& hello) const;
    Purpose purpose_for(const lockstep::HelloMessage& hello) const;
    void answer_switchover(std::chrono::duration<double, std::milli> stood);
    void begin_switchover(const ControlReply& reply);
    void finish(WaitResult result);

    const Kvm& kvm_;
    const BackupCommandOptions& options_;
    StateDirectory& directory_;
    boost::asio::io_context& control_;
    StopRequest& stop_;
    const std::string side_;
    std::optional<ControlReply> switchover_;  // who has asked for one
    std::optional<WaitResult> result_;        // set when the wait is over
    TaskScope tasks_;                         // outlives the service, whose thread posts them
    std::unique_ptr<lockstep::BackupService> service_;
};

}  // namespace fmvm::node
