// SPDX-License-Identifier: Apache-2.0
// A backup as it runs in a process: the state machine (backup.h) with TCP, clock and arbiter around
// it, and whoever builds machines behind it.
//
// Threads: created and destroyed by the main thread; callbacks come on the replication thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "lockstep/arbiter/arbiter.h"
#include "lockstep/arbiter/arbiter_watch.h"
#include "lockstep/backup/backup.h"
#include "lockstep/channel/tcp_connect.h"
#include "lockstep/service/replication_thread.h"
#include "lockstep/service/sentinel_watch.h"

namespace fmvm::lockstep {

// A machine that waits for a guest.
class Standby {
  public:
    virtual ~Standby() = default;
    virtual ShadowRam& ram() = 0;
    // This side's own disks, or null if it has none.
    virtual ShadowDisks* disks() = 0;
    // Whether run() could restore a guest in this state. Asked before each epoch is acknowledged.
    virtual Result<void> check(std::span<const std::uint8_t> state) = 0;
    // Remembers durably whose backup this side is.
    virtual Result<void> accept() = 0;
    // Takes the disks that the guest needs, for this generation. False: not yet, call again soon;
    // does not wait.
    virtual Result<bool> take_disks(Generation generation) = 0;
    // Restores the guest, shows the committed console tail (again) and lets the guest run. The
    // machine lives as long as the guest. speak_from: nothing that it emits leaves before.
    virtual Result<void> run(const Shadow& shadow, Generation generation,
                             std::shared_ptr<Arbiter> arbiter, BootTime speak_from) = 0;
};

// What the program around a backup provides.
class BackupUser {
  public:
    virtual ~BackupUser() = default;
    // A machine for this primary's guest, or one sentence why not.
    virtual Result<std::unique_ptr<Standby>> build(const HelloMessage& hello) = 0;
    // Opens the arbiter of this VM: on a thread of its own, as it may hang, and perhaps when the
    // user is gone, so it uses nothing but what it owns.
    using OpenArbiter = std::function<Result<std::shared_ptr<Arbiter>>()>;
    virtual OpenArbiter arbiter(const HelloMessage& hello) = 0;
    // The guest runs here from now on. `standby` is the machine built before.
    virtual void took_over(std::unique_ptr<Standby> standby, std::shared_ptr<Arbiter> arbiter,
                           Generation generation) = 0;
    virtual void guest_ended(const std::string& reason) = 0;
    virtual void failed(const std::string& why) = 0;
};

class BackupService : public BackupHost {
  public:
    // The user outlives the service.
    // keys: null, in the clear.
    static Result<std::unique_ptr<BackupService>> create(const Endpoint& listen,
                                                         std::shared_ptr<TlsKeyring> keys,
                                                         std::chrono::milliseconds claim_delay,
                                                         BackupUser& user);
    ~BackupService() override;

    void start();
    // Why the guest does not come here after all.
    using Stays = std::function<void(const std::string& why)>;
    // Any thread. One at a time. `stays` is called on the replication thread, now or later, when
    // the guest does not come; otherwise took_over(), guest_ended() or failed() is the answer.
    void ask_for_switch_over(Stays stays);
    // Any thread. Whoever asked has gone: the guest stays where it is, if there is still time.
    void give_up_switch_over();
    // Where it listens, with the port that the system chose.
    Endpoint endpoint() const { return listener_->endpoint(); }

    TimePoint now() override { return std::chrono::steady_clock::now(); }
    Result<Prepared> prepare(const HelloMessage& hello) override;
    Result<void> check(std::span<const std::uint8_t> state) override {
        return standby_->check(state);
    }
    Result<void> accept() override { return standby_->accept(); }
    void discard() override;
    void claim(Generation generation) override;
    void try_claim() override;
    void stays(const std::string& why) override;
    Result<bool> take_disks(Generation generation) override {
        return standby_->take_disks(generation);
    }
    Result<void> take_over(const Shadow& shadow, Generation generation,
                           BootTime speak_from) override;
    void guest_ended(const std::string& reason) override { user_.guest_ended(reason); }
    void failed(const std::string& why) override { user_.failed(why); }

  private:
    BackupService(std::chrono::milliseconds claim_delay, BackupUser& user);
    void tick();
    void join(Joiner joiner);
    void joined(const JoinMessage& join, Transport connection);
    void watch_arbiter(Generation followed);
    void leave_arbiter();
    Result<std::shared_ptr<Arbiter>> ask_arbiter(const HelloMessage& hello);

    ReplicationThread thread_;  // first: sockets must go before its context
    BackupUser& user_;
    std::shared_ptr<Arbiter> arbiter_;
    std::weak_ptr<bool> asked_;  // lives as long as a question to an arbiter does
    std::unique_ptr<Standby> standby_;
    // While there is a standby machine.
    std::shared_ptr<const std::atomic<Generation>> followed_;
    ArbiterWatch claim_watch_{"backup", could_claim_question};
    ArbiterWatch newest_watch_{"backup", newest_question};
    std::unique_ptr<SentinelWatch> sentinel_;  // the primary's, when it has joined
    Trouble strangers_;                        // who want to join it
    Backup backup_;
    std::unique_ptr<Listener> listener_;
    Stays stays_;  // set while a switchover is under way
};

}  // namespace fmvm::lockstep
