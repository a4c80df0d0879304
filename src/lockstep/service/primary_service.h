// SPDX-License-Identifier: Apache-2.0
// A primary as it runs in a process: the state machine (primary.h) with a real machine, TCP, clock
// and arbiter around it.
//
// Threads: created and destroyed by the main thread; from start() until the service is destroyed
// the replication thread controls the machine.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "lockstep/arbiter/arbiter.h"
#include "lockstep/channel/tcp_channel.h"
#include "lockstep/checkpoint/checkpointer.h"
#include "lockstep/disks/no_disks.h"
#include "lockstep/primary/primary.h"
#include "lockstep/service/replication_thread.h"
#include "vmm/machine/machine.h"

namespace fmvm::lockstep {

struct PrimaryServiceOptions {
    PrimaryOptions primary;
    CheckpointerOptions checkpointer;
    std::optional<Endpoint> backup;  // none: nobody is looked for
    std::string trace;               // a file for one JSON line per epoch; empty: none
    // Told now and then how far the initial copy is, on the replication thread; may be empty.
    std::function<void(const std::string&)> on_copying;
};

class PrimaryService : public PrimaryHost {
  public:
    // Called once, on the replication thread: the guest stands and will not run here any more.
    using EndHandler = std::function<void(PrimaryEnd, const std::string&)>;
    // Writes out what the console still holds, within a limit, while the guest stands.
    using Drain = std::function<void()>;

    // What is protected; all of it outlives the service. The machine has a dirty log.
    struct Guest {
        Machine& machine;
        ConsoleGate& gate;
        std::vector<WriteGate*> write_gates;
        PrimaryDisks* disks = nullptr;  // those of which the backup has its own; null: none
    };
    // generation: this side's own, told whoever shares it, also after the service is gone.
    static Result<std::unique_ptr<PrimaryService>> create(
        Guest guest, std::shared_ptr<Arbiter> arbiter,
        std::shared_ptr<std::atomic<Generation>> generation, PrimaryServiceOptions options,
        Drain drain, EndHandler on_end);
    ~PrimaryService() override;

    // The machine runs, or is about to.
    void start();
    // From here on nothing of it happens any more; the machine is the caller's again.
    void stop();
    // Why the guest is not moved after all.
    using Stays = std::function<void(const std::string& why)>;
    // Any thread. One at a time. `stays` is called on the replication thread, now or later, when
    // the guest runs on here; otherwise the guest's end here (EndHandler) is the answer.
    void switch_over(Stays stays);
    void guest_ended(const std::string& reason);
    // Any thread: the arbiter knows a newer generation. The guest is halted here, unless it is just
    // being decided or handed over.
    void superseded();
    // Who has asked for a comparison: called on the replication thread, finished() once.
    struct Comparer {
        std::function<void(const replay::ScrubProgress&)> progress;
        std::function<void(const VerifyOutcome&)> finished;
    };
    // Any thread. One at a time.
    void verify(const VerifyOptions& options, Comparer comparer);
    void stop_verifying();
    std::string summary() const { return stats_.summary(); }
    // Any thread.
    Generation generation() const { return *generation_; }

    TimePoint now() override { return std::chrono::steady_clock::now(); }
    void claim(Generation generation) override;
    void generation_changed(Generation generation) override;
    void drain_output() override { drain_(); }
    void copying(const std::string& progress) override;
    void verifying(const replay::ScrubProgress& progress) override;
    void verified(const VerifyOutcome& outcome) override;
    void want_connection(TimePoint::duration after) override;
    void finished(PrimaryEnd end, const std::string& why) override;

  private:
    PrimaryService(Guest guest, std::shared_ptr<Arbiter> arbiter,
                   std::shared_ptr<std::atomic<Generation>> generation,
                   PrimaryServiceOptions options, Drain drain, EndHandler on_end);
    Result<void> set_up();
    // What gates and disks, which outlive this, have to tell us from any thread that something
    // waits for an epoch. A burst posts once.
    struct OutputTold {
        explicit OutputTold(PrimaryService& whom) : service(&whom) {}
        void tell();
        std::atomic<bool> told{false};
        std::mutex mutex;
        PrimaryService* service;  // null when it is gone
    };
    void want_connection_at(TimePoint when);
    void connect();

    ReplicationThread thread_;  // first: sockets must go before its context
    const Guest guest_;
    NoDisks no_disks_;
    PrimaryDisks& disks_;  // of guest_, or none
    const std::shared_ptr<Arbiter> arbiter_;
    PrimaryServiceOptions options_;
    Drain drain_;
    EndHandler on_end_;
    const std::shared_ptr<std::atomic<Generation>> generation_;
    EpochStats stats_;
    std::unique_ptr<Checkpointer> checkpointer_;
    std::unique_ptr<Primary> primary_;
    std::unique_ptr<Connector> connector_;
    std::optional<TimePoint> connect_at_;
    Stays stays_;        // set while a switchover is under way
    Comparer comparer_;  // set while a comparison is under way
    bool connect_failure_told_ = false;
    TimePoint progress_shown_{};
    const std::shared_ptr<OutputTold> output_told_ = std::make_shared<OutputTold>(*this);
};

}  // namespace fmvm::lockstep
