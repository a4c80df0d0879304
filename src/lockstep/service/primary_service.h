// SPDX-License-Identifier: Apache-2.0
// A primary as it runs in a process: the state machine (primary.h) with a real machine, TCP, clock
// and arbiter around it.
//
// Threads: the main thread creates and destroys a service. From start() until stop() the
// replication thread controls the machine.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "base/shared_text.h"
#include "lockstep/arbiter/arbiter.h"
#include "lockstep/arbiter/arbiter_watch.h"
#include "lockstep/channel/tcp_connect.h"
#include "lockstep/checkpoint/checkpointer.h"
#include "lockstep/disks/no_disks.h"
#include "lockstep/primary/primary.h"
#include "lockstep/service/replication_thread.h"
#include "lockstep/service/sentinel_charge.h"
#include "vmm/loop/task_scope.h"
#include "vmm/machine/machine.h"

namespace fmvm::lockstep {

struct PrimaryServiceOptions {
    PrimaryOptions primary;
    CheckpointerOptions checkpointer;
    std::optional<Endpoint> backup;    // none: the primary looks for no backup
    std::shared_ptr<TlsKeyring> keys;  // by which it knows its backup; null: in the clear
    std::string trace;                 // the file that gets one JSON line per epoch; empty: none
    Sentinel* sentinel = nullptr;      // of this process; outlives the service. Null: there is none
    // Gets the progress of the initial copy now and then, on the replication thread; may be empty.
    std::function<void(const std::string&)> on_copying;
};

class PrimaryService : public PrimaryHost {
  public:
    // Called once, on the replication thread, when the guest stands and will not run here any more.
    using EndHandler = std::function<void(PrimaryEnd, const std::string&)>;
    // Writes what the console still holds, within a limit of time. The guest stands.
    using Drain = std::function<void()>;

    // What is protected. All of it outlives the service, and the machine has a dirty log.
    struct Guest {
        Machine& machine;
        ConsoleGate& console;
        std::vector<EpochGate*> gates;
        PrimaryDisks* disks = nullptr;       // those that the backup has copies of; null: none
        PacketForwarder* packets = nullptr;  // from outside; null: they are not forwarded
    };
    // generation: this side's own. permit: by which its output leaves. The service keeps both up to
    // date for everybody who shares them.
    static Result<std::unique_ptr<PrimaryService>> create(
        Guest guest, std::shared_ptr<Arbiter> arbiter,
        std::shared_ptr<std::atomic<Generation>> generation, std::shared_ptr<PairPermit> permit,
        PrimaryServiceOptions options, Drain drain, EndHandler on_end);
    ~PrimaryService() override;

    // The machine runs, or is about to run.
    void start();
    // Ends the replication thread. The machine is the caller's again.
    void stop();
    // Says why the guest is not moved.
    using Stays = std::function<void(const std::string& why)>;
    // Any thread. Moves the guest to the backup. Either the service calls `stays` on the
    // replication thread, and the guest runs on here, or it calls the EndHandler. Not while another
    // move is under way.
    void switch_over(Stays stays);
    // Any thread. Gives the move up, unless the backup has been told to take over already.
    void give_up_switch_over(const std::string& why);
    // Any thread. The guest has ended, for this reason.
    void guest_ended(const std::string& reason);
    // Any thread. The arbiter knows a newer generation: halts the guest here, unless this side is
    // claiming a generation itself or handing the guest over.
    void superseded();
    // Somebody who wants a comparison. Called on the replication thread, finished() once.
    struct Comparer {
        std::function<void(const replay::ScrubProgress&)> progress;
        std::function<void(const VerifyOutcome&)> finished;
    };
    // Any thread. Compares both sides; refused while another comparison is under way.
    void verify(const VerifyOptions& options, Comparer comparer);
    void stop_verifying();
    // Any thread. Figures of the last epochs, and how far an initial copy is; empty: neither.
    std::string summary() const;
    // Any thread.
    Generation generation() const { return *generation_; }

    TimePoint now() override { return std::chrono::steady_clock::now(); }
    void claim(Generation generation) override;
    void try_claim() override;
    Result<std::unique_ptr<Lifeline>> join(const std::string& backup, const JoinMessage& join,
                                           Lifeline::Terms terms) override;
    void welcomed(const JoinMessage& sentinel) override;
    void stays(const std::string& why) override;
    void generation_changed(Generation generation) override;
    void drain_output() override { drain_(); }
    void copying(const std::string& progress) override;
    void copied() override;
    void verifying(const replay::ScrubProgress& progress) override;
    void verified(const VerifyOutcome& outcome) override;
    void want_connection(TimePoint::duration after) override;
    void finished(PrimaryEnd end, const std::string& why) override;

  private:
    PrimaryService(Guest guest, std::shared_ptr<Arbiter> arbiter,
                   std::shared_ptr<std::atomic<Generation>> generation,
                   std::shared_ptr<PairPermit> permit, PrimaryServiceOptions options, Drain drain,
                   EndHandler on_end);
    Result<void> set_up();
    TimePoint deadline() const;
    void tick();
    // Gates and disks, which outlive this, tell from any thread that something waits for an epoch.
    void output_waits();
    void count_emitters();
    void want_connection_at(TimePoint when);
    void connect();

    ReplicationThread thread_;  // first: what uses its loops is destroyed before it
    const Guest guest_;
    NoDisks no_disks_;
    PrimaryDisks& disks_;  // of guest_, or none
    const std::shared_ptr<Arbiter> arbiter_;
    PrimaryServiceOptions options_;
    Drain drain_;
    EndHandler on_end_;
    const std::shared_ptr<std::atomic<Generation>> generation_;
    const std::shared_ptr<PairPermit> permit_;
    EpochStats stats_;
    SentinelCharge sentinel_;
    std::unique_ptr<Checkpointer> checkpointer_;
    std::unique_ptr<Primary> primary_;
    ArbiterWatch claim_watch_{"primary", could_claim_question};
    ArbiterWatch newest_watch_{"primary", newest_question};
    std::unique_ptr<Connector> connector_;
    std::optional<TimePoint> connect_at_;
    Stays stays_;        // set while a switchover is under way
    Comparer comparer_;  // set while a comparison is under way
    TimePoint progress_shown_{};
    SharedText copy_progress_;              // of the initial copy under way; empty: none is
    std::atomic<bool> output_told_{false};  // and the replication thread has not looked yet
    TaskScope tasks_;                       // last: gates and disks call by it
};

}  // namespace fmvm::lockstep
