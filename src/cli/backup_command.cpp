// SPDX-License-Identifier: Apache-2.0
#include "cli/backup_command.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <optional>

#include "base/log.h"
#include "cli/control_socket.h"
#include "cli/guest_session.h"
#include "cli/host_facts.h"
#include "cli/protected_guest.h"
#include "cli/report_error.h"
#include "cli/state_directory.h"
#include "cli/terminal.h"
#include "lockstep/backup_service.h"
#include "vmm/cpuid.h"

namespace fmvm::cli {

namespace {

using lockstep::Arbiter;
using lockstep::Generation;
using lockstep::HelloMessage;
using lockstep::Shadow;

// Guest RAM as what pages are applied to.
class MachineRam : public lockstep::ShadowRam {
  public:
    explicit MachineRam(GuestMemory& memory) : memory_(memory) {}
    std::uint64_t page_count() const override { return memory_.page_count(); }
    std::span<std::uint8_t, page_size> page(PageIndex index) override {
        return memory_.page(index);
    }

  private:
    GuestMemory& memory_;
};

class StandbyMachine : public lockstep::Standby {
  public:
    // on_end: as Machine::on_end().
    StandbyMachine(BuiltMachine built, std::vector<DiskOptions> disks,
                   std::function<void(GuestEnd)> on_end)
        : built_(std::move(built)), disks_(std::move(disks)), ram_(built_.machine->memory()) {
        built_.machine->on_end(std::move(on_end));
    }

    lockstep::ShadowRam& ram() override { return ram_; }

    Result<bool> run(const Shadow& shadow, Generation generation, Arbiter& arbiter) override {
        if (!FMVM_TRY(lock_disks())) return false;
        const StateImage image = FMVM_TRY(StateImage::decode(shadow.state()));
        FMVM_TRY(built_.machine->restore(image));
        guard_output(built_, arbiter, [generation] { return generation; });
        built_.gate->write(shadow.tail().bytes);
        built_.machine->start();
        return true;
    }

    BuiltMachine& built() { return built_; }

  private:
    // The dead primary's lock goes with its last I/O; that of a frozen one when it wakes up, finds
    // itself superseded and ends, or is killed. However long that takes: nobody else may run this
    // guest any more, and what is here is the only copy of it.
    Result<bool> lock_disks() {
        for (; disks_locked_ < built_.disks.size(); ++disks_locked_) {
            const std::string& path = disks_[disks_locked_].path;
            if (FMVM_TRY(built_.disks[disks_locked_]->try_lock(path))) continue;
            tell_waiting(path);
            return false;
        }
        return true;
    }

    void tell_waiting(const std::string& path) {
        const auto now = std::chrono::steady_clock::now();
        if (!tell_at_) tell_at_ = now + tell_first;
        if (now < *tell_at_) return;
        log::warning("backup",
                     "disk {}: another process still has it, a frozen primary perhaps; "
                     "the guest waits until that one wakes up or is killed",
                     path);
        tell_at_ = now + tell_again;
    }

    static constexpr std::chrono::seconds tell_first{1};
    static constexpr std::chrono::seconds tell_again{30};

    BuiltMachine built_;
    const std::vector<DiskOptions> disks_;
    MachineRam ram_;
    std::size_t disks_locked_ = 0;
    std::optional<std::chrono::steady_clock::time_point> tell_at_;  // since a lock is waited for
};

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

class BackupRun : public lockstep::BackupUser {
  public:
    BackupRun(const Kvm& kvm, const BackupCommandOptions& options, StateDirectory& directory)
        : kvm_(kvm),
          options_(options),
          directory_(directory),
          signals_(control_, SIGTERM, SIGINT, SIGHUP) {}

    Result<void> prepare() {
        control_socket_ = FMVM_TRY(open_control(control_, options_.machine.control));
        if (control_socket_) serve(*control_socket_);
        service_ = FMVM_TRY(lockstep::BackupService::create(options_.listen, *this));
        log::notice("backup", "listening on {}", service_->endpoint().text());
        return {};
    }

    int run() {
        signals_.async_wait([this](const boost::system::error_code& error, int number) {
            if (!error) stop(number);
        });
        ::signal(SIGUSR1,
                 SIG_IGN);  // a primary's statistics; asked here by mistake, it kills nobody
        service_->start();
        const auto work = boost::asio::make_work_guard(control_);
        control_.run();
        return finish();
    }

    // Replication thread, as all of BackupUser.
    Result<std::unique_ptr<lockstep::Standby>> build(const HelloMessage& hello) override {
        FMVM_TRY(directory_.check(hello.vm, hello.generation));
        RunOptions machine = options_.machine;
        machine.memory_bytes = hello.shape.memory_bytes;
        machine.cpus = hello.shape.vcpus;
        FMVM_TRY(check_host(hello.shape));
        ExitStatus ignored = ExitStatus::failure;
        BuiltMachine built = FMVM_TRY(build_machine(kvm_, machine, Purpose::stand_by, ignored));
        FMVM_TRY(compare_disks(hello.shape, built.machine->shape()));
        FMVM_TRY(directory_.record(hello.vm, hello.generation));
        return std::unique_ptr<lockstep::Standby>(std::make_unique<StandbyMachine>(
            std::move(built), options_.machine.disks, [this](GuestEnd reason) {
                boost::asio::post(control_, [this, reason] { machine_ended(reason); });
            }));
    }

    Result<std::unique_ptr<Arbiter>> arbiter(const HelloMessage& hello) override {
        return open_arbiter(options_.arbiter, hello.vm, side_);
    }

    void took_over(std::unique_ptr<lockstep::Standby> standby, std::unique_ptr<Arbiter> arbiter,
                   Generation generation) override {
        log::notice("backup", "took over: the guest runs here generation={}", generation);
        boost::asio::post(control_,
                          [this, standby = std::shared_ptr<lockstep::Standby>(std::move(standby)),
                           arbiter = std::shared_ptr<Arbiter>(std::move(arbiter)), generation] {
                              standby_ = std::static_pointer_cast<StandbyMachine>(standby);
                              arbiter_ = arbiter;
                              generation_ = generation;
                              if (switchover_)
                                  switchover_->ok(R"("result": "the guest runs here")");
                              switchover_.reset();
                              connect_console();
                              if (end_) control_.stop();
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
    Result<void> check_host(const MachineShape& shape) const {
        const std::uint64_t host = FMVM_TRY(host_memory_bytes());
        if (shape.memory_bytes > host) {
            return make_error("the guest has {} MiB of memory, the backup's host {}",
                              shape.memory_bytes / mib, host / mib);
        }
        const std::string missing =
            missing_cpu_features(shape.cpuid, FMVM_TRY(kvm_.supported_cpuid()));
        if (missing.empty()) return {};
        return make_error(
            "the guest was started with CPU features that the backup's host lacks ({})", missing);
    }

    void serve(ControlSocket& socket) {
        socket.add("switchover", [this](const JsonValue&, const ControlReply& reply) {
            if (switchover_) return reply.error("a switchover is under way");
            switchover_ = reply;
            service_->ask_for_switch_over([this](const std::string& why) {
                boost::asio::post(control_, [this, why] {
                    if (switchover_) switchover_->error(why);
                    switchover_.reset();
                });
            });
        });
    }

    void connect_console() {
        if (options_.machine.console.kind != ConsoleKind::stdio) return;
        const Result<void> connected = connect_input(standby_->built());
        if (!connected.ok()) log::warning("backup", "{}", connected.error().message());
        terminal_.emplace(STDIN_FILENO);
    }

    void stop(int number) {
        log::info("backup", "stopping signal={}", number);
        if (standby_) {
            standby_->built().machine->request_end(GuestEnd::stopped);
        } else {
            status_ = to_int(ExitStatus::operator_stop);
            control_.stop();
        }
    }

    // A guest that ends at once does so before took_over() has given the machine to this thread.
    void machine_ended(GuestEnd reason) {
        end_ = reason;
        if (standby_) control_.stop();
    }

    int finish() {
        service_.reset();
        // A takeover may have come together with the signal: the guest that began here is ended.
        const int status = status_;
        control_.restart();
        control_.poll();
        if (!standby_) return status;
        if (!end_) end_ = GuestEnd::stopped;
        Machine& machine = *standby_->built().machine;
        machine.halt_vcpus();
        if (*end_ != GuestEnd::unsupported) mark_ended(*arbiter_, generation_, "backup");
        terminal_.reset();
        const std::string report = machine.report();
        standby_.reset();  // writes what is left of the console
        return report_end(*end_, report);
    }

    const Kvm& kvm_;
    const BackupCommandOptions& options_;
    StateDirectory& directory_;
    const std::string side_ = make_side_name();
    boost::asio::io_context control_{1};
    boost::asio::signal_set signals_;
    std::unique_ptr<ControlSocket> control_socket_;
    std::optional<ControlReply> switchover_;
    std::shared_ptr<Arbiter> arbiter_;
    std::shared_ptr<StandbyMachine> standby_;
    Generation generation_ = 0;
    std::optional<RawTerminal> terminal_;
    std::optional<GuestEnd> end_;
    int status_ = to_int(ExitStatus::failure);
    std::unique_ptr<lockstep::BackupService> service_;
};

}  // namespace

int backup_command(const BackupCommandOptions& options) {
    prepare_process();
    keep_message_memory();
    Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) return report_error(kvm.error().message(), ExitStatus::failure);
    Result<StateDirectory> directory = StateDirectory::open(options.directory);
    if (!directory.ok()) return report_error(directory.error().message(), ExitStatus::usage);
    BackupRun run(*kvm, options, *directory);
    const Result<void> prepared = run.prepare();
    if (!prepared.ok()) return report_error(prepared.error().message(), ExitStatus::usage);
    return run.run();
}

}  // namespace fmvm::cli
