// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/backup_command.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <optional>

#include "base/log.h"
#include "cli/guest_session.h"
#include "cli/protected_guest.h"
#include "cli/protected_run.h"
#include "cli/report/report_error.h"
#include "cli/standby_machine.h"
#include "lockstep/service/backup_service.h"
#include "node/build/host_facts.h"
#include "node/console/terminal.h"
#include "node/control/control_socket.h"
#include "node/run/state_directory.h"
#include "vmm/cpu/cpu_comparison.h"
#include "vmm/cpu/cpuid.h"

namespace fmvm::cli {

namespace {

using lockstep::Arbiter;
using lockstep::Generation;
using lockstep::HelloMessage;

Result<void> compare_disks(const MachineShape& theirs, const MachineShape& ours) {
    if (theirs.disks.size() != ours.disks.size()) {
        return make_error(
            "the primary has {} disks, this backup {}; give --disk for each, in order",
            theirs.disks.size(), ours.disks.size());
    }
    for (std::size_t i = 0; i < ours.disks.size(); ++i) {
        if (theirs.disks[i] == ours.disks[i]) continue;
        return make_error(
            "disk {} differs: {} bytes on the primary, {} here, or its kind; give "
            "the same on both sides",
            i, theirs.disks[i].capacity, ours.disks[i].capacity);
    }
    return {};
}

// It is written from the takeover on; that it cannot be is better known now.
Result<void> check_trace(const std::string& path) {
    if (!path.empty()) FMVM_TRY(lockstep::open_trace(path));
    return {};
}

// From the wait for a primary to the guest's end, wherever it comes.
class BackupRun : public lockstep::BackupUser {
  public:
    BackupRun(const Kvm& kvm, const node::BackupCommandOptions& options,
              node::StateDirectory& directory)
        : kvm_(kvm), options_(options), directory_(directory), signals_(control_) {
        add_stop_signals(signals_);
    }

    Result<void> prepare() {
        FMVM_TRY(check_trace(options_.replication.trace));
        control_socket_ = FMVM_TRY(node::open_control(control_, options_.machine.control));
        if (control_socket_) serve(*control_socket_);
        service_ = FMVM_TRY(lockstep::BackupService::create(options_.listen, *this));
        log::notice("backup", "listening on {}", service_->endpoint().text());
        return {};
    }

    int run() {
        signals_.async_wait([this](const boost::system::error_code& error, int number) {
            if (!error) stop(number);
        });
        service_->start();
        {
            const auto work = boost::asio::make_work_guard(control_);
            control_.run();
        }
        if (!standby_) {
            signals_.clear();  // a second one ends the process at once, should a disk never answer
            service_.reset();
            // A takeover may have come together with the signal: that guest is ended, too.
            control_.restart();
            control_.poll();
        }
        return standby_ ? run_guest() : status_;
    }

    // Replication thread, as all of BackupUser.
    Result<std::unique_ptr<lockstep::Standby>> build(const HelloMessage& hello) override {
        FMVM_TRY(directory_.check(hello.vm, hello.generation));
        const bool have_disks =
            hello.block != lockstep::BlockMode::none && options_.block != lockstep::BlockMode::none;
        if (have_disks && hello.block != options_.block) {
            return make_error(
                "the primary's disks get here by --block {}, this backup's by {}; give the same on "
                "both sides",
                node::name_of(hello.block), node::name_of(options_.block));
        }
        node::MachineOptions machine = options_.machine;
        machine.memory_bytes = hello.shape.memory_bytes;
        machine.cpus = hello.shape.vcpus;
        FMVM_TRY(check_host(hello.shape));
        ExitStatus ignored = ExitStatus::failure;
        BuiltMachine built = FMVM_TRY(build_machine(kvm_, machine, purpose_for(hello), ignored));
        FMVM_TRY(compare_disks(hello.shape, built.machine->shape()));
        for (std::size_t i = 0; i < built.own_disks.size(); ++i) {
            const OwnDisk& disk = built.own_disks[i];
            FMVM_TRY(replay::may_follow(disk.map->label(), disk.path, hello.vm, i));
        }
        const auto accept = [this, vm = hello.vm, generation = hello.generation] {
            return directory_.record(vm, generation);
        };
        return std::unique_ptr<lockstep::Standby>(std::make_unique<StandbyMachine>(
            std::move(built), options_.machine.disks, hello, options_.replication.lost_after,
            accept, [this](GuestEnd reason) {
                boost::asio::post(control_, [this, reason] { machine_ended(reason); });
            }));
    }

    OpenArbiter arbiter(const HelloMessage& hello) override {
        return [options = options_.arbiter, vm = hello.vm, side = side_] {
            return open_arbiter(options, vm, side);
        };
    }

    void took_over(std::unique_ptr<lockstep::Standby> standby, std::shared_ptr<Arbiter> arbiter,
                   Generation generation) override {
        log::notice("backup", "took over: the guest runs here generation={}", generation);
        boost::asio::post(control_,
                          [this, standby = std::shared_ptr<lockstep::Standby>(std::move(standby)),
                           arbiter = std::move(arbiter)] {
                              standby_ = std::static_pointer_cast<StandbyMachine>(standby);
                              arbiter_ = arbiter;
                              if (switchover_)
                                  switchover_->ok(R"("result": "the guest runs here")");
                              switchover_.reset();
                              control_.stop();
                          });
    }

    void guest_ended(const std::string& reason) override {
        boost::asio::post(control_, [this, reason] {
            log::notice("backup", "{} on the primary", reason);
            status_ = to_int(ExitStatus::ok);
            control_.stop();
        });
    }

    void failed(const std::string& why) override {
        boost::asio::post(control_, [this, why] {
            status_ = report_error(fmt::format("cannot take over: {}", why), ExitStatus::failure);
            control_.stop();
        });
    }

  private:
    Purpose purpose_for(const HelloMessage& hello) const {
        const node::ReplicationOptions& replication = options_.replication;
        return {.kind = Purpose::Kind::stand_by,
                .dirty_log = replication.dirty_log,
                .block = options_.block,
                .hold_writes = replication.policy.mode == lockstep::SyncMode::kemari,
                .vm = hello.vm};
    }

    Result<void> check_host(const MachineShape& shape) const {
        const std::uint64_t host = FMVM_TRY(node::host_memory_bytes());
        if (shape.memory_bytes > host) {
            return make_error("the guest has {} MiB of memory, the backup's host {}",
                              shape.memory_bytes / mib, host / mib);
        }
        const std::string missing =
            missing_cpu_features(shape.cpuid, FMVM_TRY(kvm_.supported_cpuid()));
        if (missing.empty()) return {};
        return make_error(
            "the guest was started with CPU features that the backup's host lacks ({}); leave them "
            "out "
            "when it is started, with --cpu",
            missing);
    }

    void serve(node::ControlSocket& socket) {
        socket.add("verify", [](const JsonValue&, const node::ControlReply& reply) {
            reply.error("the guest does not run here; ask its primary to compare the two sides");
        });
        socket.add("switchover", [this](const JsonValue&, const node::ControlReply& reply) {
            if (switchover_) return reply.error("a switchover is under way");
            if (!service_) return reply.error("this backup is ending");
            switchover_ = reply;
            service_->ask_for_switch_over([this](const std::string& why) {
                boost::asio::post(control_, [this, why] {
                    if (switchover_) switchover_->error(why);
                    switchover_.reset();
                });
            });
        });
    }

    // Once: a guest that runs here listens by itself (ProtectedRun); but this one may have come
    // just before it did.
    void stop(int number) {
        log::info("backup", "stopping signal={}", number);
        if (guest_ != nullptr) return standby_->built().machine->request_end(GuestEnd::stopped);
        status_ = to_int(ExitStatus::operator_stop);
        stopped_ = true;
        control_.stop();
    }

    // A guest that ends at once does so before took_over() has given the machine to this thread.
    void machine_ended(GuestEnd reason) {
        end_ = reason;
        if (guest_) guest_->guest_ended(reason);
    }

    // Whatever is wrong with protecting it again: what runs here is the only copy of the guest.
    int run_unprotected(BuiltMachine& built, const Error& why) {
        log::error("backup", "{}; the guest goes on without protection", why.message());
        const auto work = boost::asio::make_work_guard(control_);
        while (!end_ && !stopped_) {
            control_.restart();
            control_.run_one();
        }
        signals_.clear();
        if (stopped_) built.machine->request_end(GuestEnd::stopped);
        built.machine->halt_vcpus();
        const GuestEnd end = end_.value_or(GuestEnd::stopped);
        if (end != GuestEnd::unsupported)
            mark_ended(arbiter_, standby_->generation()->load(), "backup");
        service_.reset();
        const std::string report = built.machine->report();
        standby_.reset();  // writes what is left of the console
        return report_end(end, report);
    }

    // The guest runs here, as a primary's does. Whoever connects is told so.
    int run_guest() {
        control_.restart();
        BuiltMachine& built = standby_->built();
        Outcome outcome;
        std::optional<node::RawTerminal> terminal;
        {
            std::optional<ProtectedRun> guest(std::in_place, built, arbiter_, control_, "backup");
            const Result<void> prepared =
                guest->prepare({standby_->vm(), standby_->generation(), options_.block},
                               options_.next_backup, options_.replication);
            if (!prepared.ok()) {
                guest.reset();  // before the machine that it refers to
                return run_unprotected(built, prepared.error());
            }
            guest_ = &*guest;
            if (options_.machine.console.kind == node::ConsoleKind::stdio) {
                const Result<void> connected = connect_input(built);
                if (!connected.ok()) log::warning("backup", "{}", connected.error().message());
                terminal.emplace(STDIN_FILENO);
            }
            if (control_socket_) guest->serve(*control_socket_);
            if (stopped_) built.machine->request_end(GuestEnd::stopped);
            if (end_) boost::asio::post(control_, [this] { guest_->guest_ended(*end_); });
            outcome = guest->run([this, &terminal] {
                terminal.reset();
                signals_.clear();
            });
            guest_ = nullptr;
        }
        service_.reset();
        const std::string report = built.machine->report();
        standby_.reset();  // writes what is left of the console
        return report_outcome(outcome, report);
    }

    const Kvm& kvm_;
    const node::BackupCommandOptions& options_;
    node::StateDirectory& directory_;
    const std::string side_ = make_side_name();
    boost::asio::io_context control_{1};
    boost::asio::signal_set signals_;
    std::unique_ptr<node::ControlSocket> control_socket_;
    std::optional<node::ControlReply> switchover_;
    std::shared_ptr<Arbiter> arbiter_;
    std::shared_ptr<StandbyMachine> standby_;
    ProtectedRun* guest_ = nullptr;  // while it runs here
    std::optional<GuestEnd> end_;
    int status_ = to_int(ExitStatus::failure);
    bool stopped_ = false;  // by the operator
    std::unique_ptr<lockstep::BackupService> service_;
};

}  // namespace

int backup_command(const node::BackupCommandOptions& options) {
    prepare_process();
    keep_message_memory();
    Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) return report_error(kvm.error().message(), ExitStatus::failure);
    Result<node::StateDirectory> directory = node::StateDirectory::open(options.directory);
    if (!directory.ok()) return report_error(directory.error().message(), ExitStatus::usage);
    BackupRun run(*kvm, options, *directory);
    const Result<void> prepared = run.prepare();
    if (!prepared.ok()) return report_error(prepared.error().message(), ExitStatus::usage);
    return run.run();
}

}  // namespace fmvm::cli
