// SPDX-License-Identifier: Apache-2.0
// One protected guest and everything around it: a primary, its backups one after the other, their
// network, arbiter and consoles, and whoever watches from outside.
//
// Rules, looked at whenever something could break them:
//   - the output rule: no byte is shown that a backup which could take over has not committed;
//   - nobody shows a byte once a side of a newer generation has shown one;
//   - what is shown has no gap, and never contradicts what was shown before;
//   - a takeover finds RAM, state and console tail of one and the same moment;
//   - a guest that was not lost for a good reason runs on, on one side, and is heard.
#pragma once

#include <list>
#include <memory>
#include <optional>

#include "lockstep/primary/epoch_policy.h"
#include "lockstep/primary/primary.h"
#include "sim/arbiter.h"
#include "sim/clauses.h"
#include "sim/lifelines.h"
#include "sim/network.h"
#include "sim/observer.h"

namespace fmvm::sim {

class SimPrimary;
class SimBackup;

struct Settings {
    std::uint64_t seed = 1;
    lockstep::SyncMode mode = lockstep::SyncMode::adaptive;
    lockstep::OnBackupLost on_backup_lost = lockstep::OnBackupLost::continue_alone;
    std::chrono::milliseconds heartbeat{20};
    std::chrono::milliseconds lost_after{100};
    std::chrono::milliseconds permit{50};
    std::chrono::milliseconds claim_delay{10};
    std::uint64_t guest_steps = 0;  // until it powers off; 0: it never does
    Duration disks_held{};          // how long somebody else still has the disks of who takes over
    bool backup_fits = true;        // its host can run the guest
    std::uint64_t restorable_states = 0;  // then one that the backup cannot restore; 0: all are
    Without without = Without::nothing;
    bool keep_log = false;
};

class World {
  public:
    explicit World(const Settings& settings);
    ~World();

    Timeline& timeline() { return timeline_; }
    Network& network() { return network_; }
    Lifelines& lifelines() { return lifelines_; }
    SimArbiter& arbiter() { return arbiter_; }
    Observer& observer() { return observer_; }
    const Settings& settings() const { return settings_; }
    SimPrimary& primary() { return *primary_; }
    // The newest one, dead or alive.
    SimBackup& backup() { return *backups_.back(); }

    void kill_primary(Death death);
    // The sentinel of a primary that was killed says so: nothing of it can be shown any more.
    void tell_of_death();
    // `restart`: another one starts in its place after this time.
    void kill_backup(Death death, std::optional<Duration> restart);
    void kill(Process& process, Death death);

    // At the `count`-th such moment of that process' side: `action`. In order, each once.
    void when(int side, Moment moment, lockstep::FrameType type, std::function<void()> action,
              unsigned count = 1);
    // At the `count`-th moment of any kind on that side.
    void when_any(int side, unsigned count, std::function<void()> action);

    void run_for(Duration duration);
    // False: it did not come true in time.
    bool run_until(const std::function<bool()>& condition, Duration limit = 5s);
    bool run_until_protected();
    // Ends every fault and runs until everything is as it must be; breaks a rule otherwise.
    void settle();

    bool is_protected() const;
    unsigned running() const;  // sides whose guest goes on
    bool guest_ended() const { return arbiter_.has_ended(); }
    // Whoever had the guest is gone: killed, and no backup was in step.
    bool lost() const { return lost_; }

    // Kept as long as the world: somebody whom actions refer to.
    void keep(std::shared_ptr<void> somebody) { kept_ = std::move(somebody); }

    // For the processes.
    void start_backup();
    void connect();
    std::unique_ptr<lockstep::Lifeline> join(const lockstep::JoinMessage& message,
                                             lockstep::Lifeline::Terms terms);
    void check_shown(const Process& process, std::uint64_t end);
    void told_shown(std::uint64_t position);
    // Somebody is gone for good: is there anybody left who has the guest?
    void look_for_survivors();
    void guest_ended_orderly(const Process& process, std::uint64_t lines);

  private:
    struct Trigger {
        int side;
        std::optional<Moment> moment;  // none: any
        lockstep::FrameType type;
        unsigned count;
        std::function<void()> action;
    };
    void at_moment(Process& process, Moment moment, lockstep::FrameType type,
                   std::span<const std::uint8_t> body);
    bool is_settled() const;
    std::string describe() const;

    const Settings settings_;
    Timeline timeline_;
    Network network_;
    Lifelines lifelines_;
    SimArbiter arbiter_;
    Observer observer_;
    std::list<Trigger> triggers_;
    std::vector<std::unique_ptr<SimBackup>> backups_;
    std::unique_ptr<SimPrimary> primary_;
    std::shared_ptr<void> kept_;
    std::vector<std::unique_ptr<AroundHalf>> halves_;  // that forget a clause
    bool lost_ = false;
    lockstep::Generation spoken_ = 0;  // the newest generation of whoever has shown something
    std::uint64_t shown_before_ = 0;
};

}  // namespace fmvm::sim
