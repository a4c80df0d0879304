// SPDX-License-Identifier: Apache-2.0
#include "node/run/waiting_backup.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.h"
#include "lockstep/stats/epoch_stats.h"
#include "node/build/host_facts.h"
#include "node/build/new_disks.h"
#include "node/run/arbiter_access.h"
#include "node/run/disk_comparison.h"
#include "node/run/hello_limits.h"
#include "node/run/net_comparison.h"
#include "replay/image/label_rules.h"
#include "vmm/cpu/cpu_comparison.h"

namespace fmvm::node {

namespace {

using lockstep::Arbiter;
using lockstep::Generation;
using lockstep::HelloMessage;
using lockstep::Standby;
using Reason = NotTakenOver::Reason;

// Console and trace are written from the takeover on; that they cannot be is better known now.
Result<void> check_outputs(const BackupCommandOptions& options) {
    const std::string& trace = options.replication.trace;
    if (!trace.empty()) FMVM_TRY(lockstep::open_trace(trace));
    return check_console(options.machine.console);
}

// Nothing is overwritten that may be needed, unless this side's operator says so.
Result<void> check_labels(const BuiltMachine& built, const HelloMessage& hello, bool discard) {
    for (std::size_t i = 0; i < built.own_disks.size(); ++i) {
        const OwnDisk& disk = built.own_disks[i];
        const replay::DiskLabel label = disk.map->label();
        const Result<void> allowed = replay::may_follow(
            label, disk.path, {hello.vm, i, built.own_disks.size()}, hello.origin_of(i));
        if (allowed.ok()) continue;
        if (!discard) return allowed;
        log::warning("backup",
                     "--discard-disk: all that is on disk {} will be overwritten (disk {} of a "
                     "guest, {} in generation {})",
                     disk.path, label.disk, name_of(label.role), label.generation);
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<WaitingBackup>> WaitingBackup::create(
    const Kvm& kvm, const BackupCommandOptions& options, std::shared_ptr<lockstep::TlsKeyring> keys,
    StateDirectory& directory, boost::asio::io_context& control, StopRequest& stop) {
    FMVM_TRY(check_outputs(options));
    if (lockstep::has_own_disks(options.block))
        FMVM_TRY(check_new_disks(options.machine.disks, options.new_disks));
    std::unique_ptr<WaitingBackup> backup(
        new WaitingBackup(kvm, options, directory, control, stop));
    backup->service_ = FMVM_TRY(lockstep::BackupService::create(options.listen, std::move(keys),
                                                                options.claim_delay, *backup));
    log::notice("backup", "listening on {}", backup->service_->endpoint().text());
    return backup;
}

WaitingBackup::WaitingBackup(const Kvm& kvm, const BackupCommandOptions& options,
                             StateDirectory& directory, boost::asio::io_context& control,
                             StopRequest& stop)
    : kvm_(kvm),
      options_(options),
      directory_(directory),
      control_(control),
      stop_(stop),
      side_(make_side_name()) {}

WaitingBackup::~WaitingBackup() {
    stop_.stop_listening();
    service_.reset();
}

void WaitingBackup::serve(ControlSocket& socket) {
    socket.add("verify", [](const JsonValue&, const ControlReply& reply) {
        reply.error("the guest does not run here; ask its primary to compare the two sides");
    });
    socket.add("switchover",
               [this](const JsonValue&, const ControlReply& reply) { begin_switchover(reply); });
}

void WaitingBackup::begin_switchover(const ControlReply& reply) {
    if (switchover_) return reply.error("a switchover is under way");
    if (!service_) return reply.error("this backup is ending");
    switchover_ = reply;
    reply.on_gone(tasks_.bind([this] {
        if (service_) service_->give_up_switch_over();
    }));
    service_->ask_for_switch_over([this](const std::string& why) {
        boost::asio::post(control_, tasks_.bind([this, why] {
            if (switchover_) switchover_->error(why);
            switchover_.reset();
        }));
    });
}

WaitResult WaitingBackup::wait() {
    stop_.listen([this](int number) {
        log::info("backup", "stopping signal={}", number);
        finish(NotTakenOver{Reason::stopped, {}});
    });
    service_->start();
    {
        const auto work = boost::asio::make_work_guard(control_);
        control_.run();
    }
    const auto* const without = std::get_if<NotTakenOver>(&*result_);
    if (without != nullptr && without->reason == Reason::stopped) {
        service_.reset();
        // A takeover may have come together with the signal; that guest is then ended here.
        control_.restart();
        control_.poll();
    }
    return std::exchange(result_, std::nullopt).value();
}

// A takeover counts, whatever came before it: nobody else runs that guest.
void WaitingBackup::finish(WaitResult result) {
    if (!result_ || std::holds_alternative<TakenOver>(result)) result_ = std::move(result);
    control_.stop();
}

Result<void> WaitingBackup::check_hello(const HelloMessage& hello) const {
    FMVM_TRY(directory_.check(hello.vm, hello.generation));
    const bool have_disks =
        hello.block != lockstep::BlockMode::none && options_.block != lockstep::BlockMode::none;
    if (have_disks && hello.block != options_.block) {
        return make_error(
            "the primary's disks get here by --block {}, this backup's by {}; give the same on "
            "both sides",
            name_of(hello.block), name_of(options_.block));
    }
    FMVM_TRY(check_limits(hello, options_));
    const std::uint64_t host = FMVM_TRY(host_memory_bytes());
    if (hello.shape.memory_bytes > host) {
        return make_error("the guest has {} MiB of memory, the backup's host {}",
                          hello.shape.memory_bytes / mib, host / mib);
    }
    return check_cpu_features(hello.shape.cpuid, FMVM_TRY(kvm_.supported_cpuid()),
                              "the backup's host");
}

Purpose WaitingBackup::purpose_for(const HelloMessage& hello) const {
    const ReplicationOptions& replication = options_.replication;
    return {.kind = Purpose::Kind::stand_by,
            .dirty_log = replication.dirty_log,
            .block = options_.block,
            .hold_writes = replication.policy.mode == lockstep::SyncMode::kemari,
            .vm = hello.vm};
}

Result<std::unique_ptr<Standby>> WaitingBackup::build(const HelloMessage& hello) {
    FMVM_TRY(check_hello(hello));
    MachineOptions machine = options_.machine;
    machine.memory_bytes = hello.shape.memory_bytes;
    machine.cpus = hello.shape.vcpus;
    BuiltMachine built = FMVM_TRY(build_machine(kvm_, machine, purpose_for(hello)));
    FMVM_TRY(compare_disks(hello.shape.disks, built.machine->shape().disks));
    FMVM_TRY(compare_nets(hello.shape.nets, built.machine->shape().nets));
    FMVM_TRY(check_labels(built, hello, options_.discard_disks));
    const auto accept = [this, vm = hello.vm, generation = hello.generation] {
        return directory_.record(vm, generation);
    };
    return std::unique_ptr<Standby>(std::make_unique<StandbyMachine>(
        std::move(built),
        StandbyMachine::Terms{options_.machine.disks, options_.discard_disks,
                              options_.replication.lost_after},
        hello, FMVM_TRY(lockstep::PairPermit::create()), accept, control_));
}

WaitingBackup::OpenArbiter WaitingBackup::arbiter(const HelloMessage& hello) {
    return [options = options_.arbiter, vm = hello.vm, side = side_] {
        return open_arbiter(options, vm, side);
    };
}

void WaitingBackup::took_over(std::unique_ptr<Standby> standby, std::shared_ptr<Arbiter> arbiter,
                              Generation generation) {
    log::notice("backup", "took over: the guest runs here generation={}", generation);
    std::unique_ptr<StandbyMachine> machine(static_cast<StandbyMachine*>(standby.release()));
    boost::asio::post(control_, tasks_.bind([this, machine = std::move(machine),
                                             arbiter = std::move(arbiter)]() mutable {
        answer_switchover(machine->stood());
        finish(TakenOver{std::move(machine), std::move(arbiter)});
    }));
}

void WaitingBackup::answer_switchover(std::chrono::duration<double, std::milli> stood) {
    const std::optional<ControlReply> reply = std::exchange(switchover_, std::nullopt);
    if (!reply) return;
    const std::string result =
        fmt::format("the guest runs here; it stood for {:.1f} ms", stood.count());
    reply->ok(JsonObject().add("result", result));
}

void WaitingBackup::guest_ended(const std::string& reason) {
    boost::asio::post(control_, tasks_.bind([this, reason] {
        finish(NotTakenOver{Reason::guest_ended, reason});
    }));
}

void WaitingBackup::failed(const std::string& why) {
    boost::asio::post(control_, tasks_.bind([this, why] {
        finish(NotTakenOver{Reason::failed, why});
    }));
}

}  // namespace fmvm::node
