// SPDX-License-Identifier: Apache-2.0
#include "cli/primary_command.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>

#include "base/log.h"
#include "base/random.h"
#include "cli/control_socket.h"
#include "cli/guest_session.h"
#include "cli/protected_guest.h"
#include "cli/report_error.h"
#include "cli/terminal.h"
#include "lockstep/primary_service.h"

namespace fmvm::cli {

namespace {

using lockstep::Arbiter;
using lockstep::Claim;
using lockstep::Generation;
using lockstep::PrimaryEnd;
using lockstep::PrimaryService;
using lockstep::VmId;

constexpr std::chrono::milliseconds drain_limit{1000};
// The backup may take this long to learn that the guest has ended; then we go all the same.
constexpr std::chrono::seconds farewell_limit{10};

// Who has claimed before is the same guest, started again; a new one draws its identity.
Result<VmId> choose_vm_id(const ArbiterOptions& arbiter) {
    if (!arbiter.none) {
        const std::optional<VmId> known = FMVM_TRY(lockstep::file_arbiter_owner(arbiter.path));
        if (known) return *known;
    }
    return random_value<VmId>();
}

// The generation under which the guest starts here. Refused while another side may run it.
Result<Generation> begin_generation(Arbiter& arbiter, bool restart) {
    const Generation newest = FMVM_TRY(arbiter.newest());
    if (newest != 0 && !restart && !FMVM_TRY(arbiter.has_ended(newest))) {
        return make_error(
            "generation {} of this guest has not ended: it may be running on its backup; join that "
            "side as its backup, or give --restart to begin anew",
            newest);
    }
    if (FMVM_TRY(arbiter.claim(newest + 1)) == Claim::lost)
        return make_error("generation {} was won by another side just now", newest + 1);
    return newest + 1;
}

// It was won for nothing; the next start need not ask whether this one is still running.
int report_not_begun(const std::shared_ptr<Arbiter>& arbiter, Generation generation,
                     const Error& error) {
    mark_ended(arbiter, generation, "primary");
    return report_error(error.message(), ExitStatus::failure);
}

// What came of the guest, and of its protection.
struct Outcome {
    GuestEnd guest = GuestEnd::stopped;
    std::optional<PrimaryEnd> end;
    std::string why;
};

int report_outcome(const Outcome& outcome, const std::string& report) {
    switch (outcome.end.value_or(PrimaryEnd::guest_ended)) {
        case PrimaryEnd::guest_ended:
            return report_end(outcome.guest, report);
        case PrimaryEnd::handed_over:
            log::notice("primary", "switched over: {}", outcome.why);
            return to_int(ExitStatus::ok);
        case PrimaryEnd::superseded:
            return report_error(fmt::format("halted: {}", outcome.why), ExitStatus::superseded);
        case PrimaryEnd::backup_lost:
            return report_error(
                fmt::format("halted, as --on-backup-lost stop asks: {}", outcome.why),
                ExitStatus::backup_lost);
        case PrimaryEnd::failed:
            return report_error(outcome.why, ExitStatus::failure);
    }
    return to_int(ExitStatus::failure);
}

// The guest from its start to its end. Everything is called on the main thread, but for what is
// posted to it.
class PrimaryRun {
  public:
    PrimaryRun(BuiltMachine& built, std::shared_ptr<Arbiter> arbiter,
               boost::asio::io_context& control)
        : control_(control),
          built_(built),
          arbiter_(std::move(arbiter)),
          signals_(control_, SIGTERM, SIGINT, SIGHUP),
          requests_(control_, SIGUSR1),
          farewell_(control_) {}

    Result<void> prepare(lockstep::PrimaryServiceOptions options) {
        Machine& machine = *built_.machine;
        const std::chrono::milliseconds lost_after = options.primary.lost_after;
        service_ = FMVM_TRY(PrimaryService::create(
            machine, *built_.gate, built_.write_gates, arbiter_, std::move(options),
            [this] { built_.console->drain(drain_limit); },
            [this](PrimaryEnd end, const std::string& why) { ended(end, why); }));
        guard_output(
            built_, arbiter_,
            [generation = service_->shared_generation()] { return generation->load(); },
            lost_after);
        machine.on_end([this](GuestEnd reason) {
            boost::asio::post(control_, [this, reason] { guest_ended(reason); });
        });
        return {};
    }

    void serve(ControlSocket& socket) {
        socket.add("switchover", [this](const JsonValue&, const ControlReply& reply) {
            if (switchover_) return reply.error("a switchover is under way");
            switchover_ = reply;
            service_->switch_over([this](const std::string& why) {
                boost::asio::post(control_, [this, why] { answer_switchover(false, why); });
            });
        });
    }

    Outcome run() {
        wait_for_stop();
        wait_for_requests();
        built_.machine->start();
        service_->start();  // from here on, its thread controls the machine
        const auto work = boost::asio::make_work_guard(control_);
        control_.run();
        const Generation generation = service_->generation();
        service_->stop();
        built_.machine->halt_vcpus();
        service_.reset();
        // A guest that this host could not go on with has not ended: another host may.
        if (outcome_.end == PrimaryEnd::guest_ended && outcome_.guest != GuestEnd::unsupported)
            mark_ended(arbiter_, generation, "primary");
        return outcome_;
    }

  private:
    void wait_for_stop() {
        signals_.async_wait([this](const boost::system::error_code& error, int number) {
            if (error) return;
            log::info("primary", "stopping the guest signal={}", number);
            built_.machine->request_end(GuestEnd::stopped);
        });
    }

    void wait_for_requests() {
        requests_.async_wait([this](const boost::system::error_code& error, int) {
            if (error) return;
            fmt::print(stderr, "{}", service_->summary());
            wait_for_requests();
        });
    }

    void guest_ended(GuestEnd reason) {
        if (outcome_.end) return;  // halted by ourselves
        outcome_.guest = reason;
        if (reason == GuestEnd::unsupported) {
            // This host cannot go on with it; another may. The connection ends with us.
            outcome_.end = PrimaryEnd::guest_ended;
            control_.stop();
            return;
        }
        service_->guest_ended(describe_end(reason));
        farewell_.expires_after(farewell_limit);
        farewell_.async_wait([this](const boost::system::error_code& error) {
            if (!error) control_.stop();
        });
    }

    // Replication thread.
    void ended(PrimaryEnd end, const std::string& why) {
        boost::asio::post(control_, [this, end, why] {
            outcome_.end = end;
            outcome_.why = why;
            answer_switchover(end == PrimaryEnd::handed_over, why);
            // One more round, so that the answer gets out.
            boost::asio::post(control_, [this] { control_.stop(); });
        });
    }

    // To who asked for it, if anybody did.
    void answer_switchover(bool done, const std::string& result) {
        const std::optional<ControlReply> reply = std::exchange(switchover_, std::nullopt);
        if (!reply) return;
        if (done) {
            reply->ok(fmt::format("\"result\": {}", json_quote(result)));
        } else {
            reply->error(result);
        }
    }

    boost::asio::io_context& control_;
    BuiltMachine& built_;
    const std::shared_ptr<Arbiter> arbiter_;
    boost::asio::signal_set signals_;
    boost::asio::signal_set requests_;
    boost::asio::steady_timer farewell_;
    std::optional<ControlReply> switchover_;
    std::unique_ptr<PrimaryService> service_;
    Outcome outcome_;
};

lockstep::PrimaryServiceOptions service_options(const PrimaryCommandOptions& options,
                                                const Machine& machine, const VmId& vm,
                                                Generation generation) {
    lockstep::PrimaryServiceOptions service;
    service.primary.vm = vm;
    service.primary.generation = generation;
    service.primary.shape = machine.shape();
    service.primary.heartbeat = options.heartbeat;
    service.primary.lost_after = options.lost_after;
    service.primary.policy = options.policy;
    service.primary.on_backup_lost = options.on_backup_lost;
    service.checkpointer = options.checkpointer;
    service.backup = options.backup;
    service.trace = options.trace;
    return service;
}

}  // namespace

int primary_command(const PrimaryCommandOptions& options) {
    prepare_process();
    keep_message_memory();
    Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) return report_error(kvm.error().message(), ExitStatus::failure);
    boost::asio::io_context control(1);
    Result<std::unique_ptr<ControlSocket>> control_socket =
        open_control(control, options.machine.control);
    if (!control_socket.ok())
        return report_error(control_socket.error().message(), ExitStatus::usage);
    Result<VmId> vm = choose_vm_id(options.arbiter);
    if (!vm.ok()) return report_error(vm.error().message(), ExitStatus::usage);
    Result<std::shared_ptr<Arbiter>> arbiter = open_arbiter(options.arbiter, *vm, make_side_name());
    if (!arbiter.ok()) return report_error(arbiter.error().message(), ExitStatus::usage);
    ExitStatus status = ExitStatus::failure;
    Result<BuiltMachine> built =
        build_guest(*kvm, options.machine, Purpose::protect, status, options.dirty_log);
    if (!built.ok()) return report_error(built.error().message(), status);
    tell_quirks(*built);

    Result<Generation> generation = begin_generation(**arbiter, options.restart);
    if (!generation.ok()) return report_error(generation.error().message(), ExitStatus::usage);
    std::optional<Outcome> outcome;
    std::string report;
    {
        PrimaryRun run(*built, *arbiter, control);
        const Result<void> prepared =
            run.prepare(service_options(options, *built->machine, *vm, generation.value()));
        if (!prepared.ok()) return report_not_begun(*arbiter, *generation, prepared.error());
        std::optional<RawTerminal> terminal;
        if (options.machine.console.kind == ConsoleKind::stdio) {
            const Result<void> connected = connect_input(*built);
            if (!connected.ok()) return report_not_begun(*arbiter, *generation, connected.error());
            terminal.emplace(STDIN_FILENO);
        }
        if (*control_socket) run.serve(**control_socket);
        outcome = run.run();
        report = built->machine->report();
        built->machine.reset();  // writes what is left of the console
    }
    return report_outcome(*outcome, report);
}

}  // namespace fmvm::cli
