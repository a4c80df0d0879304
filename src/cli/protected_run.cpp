// SPDX-License-Identifier: Apache-2.0
#include "cli/protected_run.h"

#include <signal.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.h"
#include "cli/guest_session.h"
#include "cli/protected_guest.h"
#include "cli/recording.h"
#include "cli/report/report_error.h"

namespace fmvm::cli {

namespace {

using lockstep::Generation;
using lockstep::PrimaryEnd;
using lockstep::PrimaryService;

constexpr std::chrono::milliseconds drain_limit{1000};
// The backup may take this long to learn that the guest has ended; then we go all the same.
constexpr std::chrono::seconds farewell_limit{10};

lockstep::PrimaryServiceOptions service_options(const ProtectedRun::Guest& guest,
                                                const Machine& machine,
                                                const std::optional<lockstep::Endpoint>& backup,
                                                const node::ReplicationOptions& options) {
    lockstep::PrimaryServiceOptions service;
    service.primary.vm = guest.vm;
    service.primary.generation = *guest.generation;
    service.primary.shape = machine.shape();
    service.primary.block = guest.block;
    service.primary.durable = options.durable;
    service.primary.heartbeat = options.heartbeat;
    service.primary.lost_after = options.lost_after;
    service.primary.policy = options.policy;
    service.primary.on_backup_lost = options.on_backup_lost;
    service.checkpointer = options.checkpointer;
    service.backup = backup;
    service.trace = options.trace;
    return service;
}

}  // namespace

int report_outcome(const Outcome& outcome, const std::string& report) {
    if (!outcome.end) {
        return report_error(
            fmt::format(
                "the guest has ended ({}), but within {} s neither the backup nor the arbiter "
                "could be told: some of its output was not shown, and it may go on, from a "
                "moment before, on the backup; look there before it is started again",
                describe_end(outcome.guest), farewell_limit.count()),
            ExitStatus::failure);
    }
    switch (*outcome.end) {
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

ProtectedRun::ProtectedRun(BuiltMachine& built, std::shared_ptr<lockstep::Arbiter> arbiter,
                           boost::asio::io_context& control, std::string component)
    : control_(control),
      built_(built),
      arbiter_(std::move(arbiter)),
      component_(std::move(component)),
      signals_(control_),
      requests_(control_, SIGUSR1),
      farewell_(control_) {
    add_stop_signals(signals_);
}

ProtectedRun::~ProtectedRun() {
    if (service_) end_service();
    // Asio leaves the default action behind, which would kill a guest that goes on.
    requests_.clear();
    ::signal(SIGUSR1, SIG_IGN);
}

void ProtectedRun::end_service() {
    service_.reset();
    const QuiesceGuard standing(*built_.machine);
    built_.console->on_revoked(nullptr);
}

Result<void> ProtectedRun::prepare(const Guest& guest,
                                   const std::optional<lockstep::Endpoint>& backup,
                                   const node::ReplicationOptions& options) {
    FMVM_TRY(prepare_disks(guest));
    service_ = FMVM_TRY(PrimaryService::create(
        {*built_.machine, *built_.gate, built_.write_gates, disks_.get()}, arbiter_,
        guest.generation, service_options(guest, *built_.machine, backup, options),
        [this] { built_.console->drain(drain_limit); },
        [this](PrimaryEnd end, const std::string& why) { ended(end, why); }));
    verify_ = std::make_unique<VerifyRequests>(control_, *service_);
    const QuiesceGuard standing(*built_.machine);
    built_.console->on_revoked([this] {
        boost::asio::post(control_, [this] {
            if (service_) service_->superseded();
        });
    });
    return {};
}

Result<void> ProtectedRun::prepare_disks(const Guest& guest) {
    if (built_.own_disks.empty()) return {};
    std::vector<lockstep::MirroredDisks::Disk> disks;
    for (const OwnDisk& disk : built_.own_disks) {
        disks.push_back({disk.map, replay::open_image_blocks(*disk.image, disk.path)});
    }
    const bool copy = guest.block == lockstep::BlockMode::copy;
    disks_ = std::make_unique<lockstep::MirroredDisks>(
        *built_.block_log, built_.machine->memory(), std::move(disks),
        copy ? replay::PayloadMode::by_value : replay::PayloadMode::by_reference, built_.recorder);
    return disks_->run_under(guest.vm, *guest.generation);
}

void ProtectedRun::serve(node::ControlSocket& socket) {
    verify_->serve(socket);
    socket.add("switchover", [this](const JsonValue&, const node::ControlReply& reply) {
        if (switchover_) return reply.error("a switchover is under way");
        switchover_ = reply;
        service_->switch_over([this](const std::string& why) {
            boost::asio::post(control_, [this, why] { answer_switchover(false, why); });
        });
    });
}

Outcome ProtectedRun::run(const std::function<void()>& guest_gone) {
    wait_for_stop();
    wait_for_requests();
    service_->start();  // from here on, its thread controls the machine
    const auto work = boost::asio::make_work_guard(control_);
    control_.run();
    guest_gone();
    signals_.clear();
    const Generation generation = service_->generation();
    service_->stop();
    built_.machine->halt_vcpus();
    end_service();
    // A guest that this host could not go on with has not ended: another host may.
    const bool ended =
        outcome_.end == PrimaryEnd::guest_ended && outcome_.guest != GuestEnd::unsupported;
    end_recording(built_, ended ? Uncommitted::counts : Uncommitted::is_dropped);
    if (ended) {
        leave_disks();
        mark_ended(arbiter_, generation, component_);
    }
    return outcome_;
}

// The guest has ended: whoever wants to may use its disks.
void ProtectedRun::leave_disks() {
    if (!disks_) return;
    const Result<void> released = disks_->release();
    if (!released.ok()) log::warning(component_, "{}", released.error().message());
}

void ProtectedRun::wait_for_stop() {
    signals_.async_wait([this](const boost::system::error_code& error, int number) {
        if (error) return;
        log::info(component_, "stopping the guest signal={}", number);
        built_.machine->request_end(GuestEnd::stopped);
    });
}

void ProtectedRun::wait_for_requests() {
    requests_.async_wait([this](const boost::system::error_code& error, int) {
        if (error) return;
        const std::string summary = service_->summary();
        fmt::print(stderr, "{}", summary.empty() ? "no epochs yet\n" : summary);
        wait_for_requests();
    });
}

void ProtectedRun::guest_ended(GuestEnd reason) {
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
void ProtectedRun::ended(PrimaryEnd end, const std::string& why) {
    boost::asio::post(control_, [this, end, why] {
        outcome_.end = end;
        outcome_.why = why;
        answer_switchover(end == PrimaryEnd::handed_over, why);
        // One more round, so that the answer gets out.
        boost::asio::post(control_, [this] { control_.stop(); });
    });
}

// To who asked for it, if anybody did.
void ProtectedRun::answer_switchover(bool done, const std::string& result) {
    const std::optional<node::ControlReply> reply = std::exchange(switchover_, std::nullopt);
    if (!reply) return;
    if (done) {
        reply->ok(fmt::format("\"result\": {}", json_quote(result)));
    } else {
        reply->error(result);
    }
}

}  // namespace fmvm::cli
