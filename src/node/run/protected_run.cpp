// SPDX-License-Identifier: Apache-2.0
#include "node/run/protected_run.h"

#include <malloc.h>
#include <signal.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.h"
#include "node/run/arbiter_access.h"
#include "node/run/recording.h"

namespace fmvm::node {

namespace {

using lockstep::Generation;
using lockstep::PrimaryEnd;
using lockstep::PrimaryService;

constexpr std::chrono::milliseconds drain_limit{1000};

lockstep::PrimaryServiceOptions service_options(const ProtectedRun::Guest& guest,
                                                const BuiltMachine& built,
                                                const std::optional<lockstep::Endpoint>& backup,
                                                const ReplicationOptions& options,
                                                const ProtectedRun::Surroundings& around) {
    lockstep::PrimaryServiceOptions service;
    service.on_copying = around.watcher.progress;
    service.sentinel = around.sentinel;
    service.keys = around.keys;
    service.primary.vm = guest.vm;
    service.primary.generation = *guest.generation;
    service.primary.shape = built.machine->shape();
    service.primary.block = guest.block;
    service.primary.has_arbiter = guest.has_arbiter;
    for (const OwnDisk& disk : built.own_disks)
        service.primary.origins.push_back(disk.map->label().origin);
    service.primary.durable = options.durable;
    service.primary.heartbeat = options.heartbeat;
    service.primary.lost_after = options.lost_after;
    service.primary.permit = options.permit;
    service.primary.policy = options.policy;
    service.primary.on_backup_lost = options.on_backup_lost;
    service.checkpointer = options.checkpointer;
    service.backup = backup;
    service.trace = options.trace;
    return service;
}

}  // namespace

void keep_message_memory() {
    constexpr int largest_message = 8 << 20;
    constexpr int kept_free = 64 << 20;
    ::mallopt(M_MMAP_THRESHOLD, largest_message);
    ::mallopt(M_TRIM_THRESHOLD, kept_free);
}

ProtectedRun::ProtectedRun(BuiltMachine& built, std::shared_ptr<lockstep::Arbiter> arbiter,
                           Surroundings surroundings, std::string component)
    : built_(built),
      arbiter_(std::move(arbiter)),
      around_(std::move(surroundings)),
      component_(std::move(component)),
      figures_wanted_(around_.control, SIGUSR1),
      farewell_(around_.control) {}

ProtectedRun::~ProtectedRun() {
    around_.stop.stop_listening();
    around_.ending->stop_listening();
    if (service_) end_service();
    // Asio leaves the default action behind, which would kill a guest that goes on.
    figures_wanted_.clear();
    ::signal(SIGUSR1, SIG_IGN);
}

void ProtectedRun::end_service() {
    service_.reset();
    const QuiesceGuard standing(*built_.machine);
    built_.console->on_revoked(nullptr);
}

Result<void> ProtectedRun::prepare(const Guest& guest,
                                   const std::optional<lockstep::Endpoint>& backup,
                                   const ReplicationOptions& options) {
    FMVM_TRY(prepare_disks(guest));
    service_ = FMVM_TRY(PrimaryService::create(
        {*built_.machine, *built_.gate, built_.gates, disks_.get(),
         options.rx_forward ? built_.packets : nullptr},
        arbiter_, guest.generation, guest.pair,
        service_options(guest, built_, backup, options, around_), [this] { drain_output(); },
        [this](PrimaryEnd end, const std::string& why) { ended(end, why); }));
    verify_ = std::make_unique<VerifyRequests>(around_.control, *service_);
    const QuiesceGuard standing(*built_.machine);
    built_.console->on_revoked([this] {
        boost::asio::post(around_.control, tasks_.bind([this] {
            if (service_) service_->superseded();
        }));
    });
    return {};
}

// Replication thread, while the guest stands.
void ProtectedRun::drain_output() {
    for (const NetCard& card : built_.nets)
        card.gate->drain();
    built_.console->drain(drain_limit);
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

void ProtectedRun::serve(ControlSocket& socket) {
    verify_->serve(socket);
    socket.add("switchover", [this](const JsonValue&, const ControlReply& reply) {
        if (switchover_) return reply.error("a switchover is under way");
        switchover_ = reply;
        reply.on_gone(
            tasks_.bind([this] { service_->give_up_switch_over("its operator has given it up"); }));
        service_->switch_over([this](const std::string& why) {
            boost::asio::post(around_.control,
                              tasks_.bind([this, why] { answer_switchover(false, why); }));
        });
    });
}

Outcome ProtectedRun::run(const std::function<void()>& guest_gone) {
    around_.control.restart();
    show_figures_when_asked();
    service_->start();  // from here on, its thread controls the machine
    listen();
    const auto work = boost::asio::make_work_guard(around_.control);
    around_.control.run();
    guest_gone();
    const Generation generation = service_->generation();
    service_->stop();
    built_.machine->halt_vcpus();
    end_service();
    // A guest that this host could not go on with has not ended: another host may go on with it.
    const bool ended =
        outcome_.end == PrimaryEnd::guest_ended && outcome_.guest != GuestEnd::unsupported;
    end_recording(built_, ended ? Uncommitted::counts : Uncommitted::is_dropped);
    if (ended) {
        leave_disks();
        mark_ended(arbiter_, generation, component_);
    }
    return outcome_;
}

// The guest has ended: whoever wants to may use its disks from here on.
void ProtectedRun::leave_disks() {
    if (!disks_) return;
    const Result<void> released = disks_->release();
    if (!released.ok()) log::warning(component_, "{}", released.error().message());
}

void ProtectedRun::listen() {
    around_.stop.listen([this](int number) {
        log::info(component_, "stopping the guest signal={}", number);
        built_.machine->request_end(GuestEnd::stopped);
    });
    around_.ending->listen([this](GuestEnd reason) { guest_ended(reason); });
}

void ProtectedRun::show_figures_when_asked() {
    figures_wanted_.async_wait([this](const boost::system::error_code& error, int) {
        if (error) return;
        const std::string summary = service_->summary();
        around_.watcher.figures(summary.empty() ? "no epochs yet\n" : summary);
        show_figures_when_asked();
    });
}

void ProtectedRun::guest_ended(GuestEnd reason) {
    if (outcome_.end) return;  // this side has halted the guest itself
    outcome_.guest = reason;
    if (reason == GuestEnd::unsupported) {
        // This host cannot go on with the guest; another may. The connection ends with this
        // process.
        outcome_.end = PrimaryEnd::guest_ended;
        around_.control.stop();
        return;
    }
    service_->guest_ended(describe_end(reason));
    farewell_.expires_after(farewell_limit);
    farewell_.async_wait([this](const boost::system::error_code& error) {
        if (!error) around_.control.stop();
    });
}

// Replication thread.
void ProtectedRun::ended(PrimaryEnd end, const std::string& why) {
    boost::asio::post(around_.control, tasks_.bind([this, end, why] {
        outcome_.end = end;
        outcome_.why = why;
        answer_switchover(end == PrimaryEnd::handed_over, why);
        // One more round, so that the answer gets out.
        boost::asio::post(around_.control, tasks_.bind([this] { around_.control.stop(); }));
    }));
}

// Answers whoever asked for the switchover, if anybody did.
void ProtectedRun::answer_switchover(bool done, const std::string& result) {
    const std::optional<ControlReply> reply = std::exchange(switchover_, std::nullopt);
    if (!reply) return;
    if (done) {
        reply->ok(JsonObject().add("result", result));
    } else {
        reply->error(result);
    }
}

}  // namespace fmvm::node
