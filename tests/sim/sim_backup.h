// SPDX-License-Identifier: Apache-2.0
// A backup's process: the real state machine and shadow over toy RAM, and what BackupService and
// the program do around them. After a takeover the guest runs here.
#pragma once

#include <memory>
#include <optional>

#include "lockstep/backup/backup.h"
#include "lockstep/output/console_gate.h"
#include "sim/console.h"
#include "sim/toy_guest.h"
#include "sim/world.h"

namespace fmvm::sim {

class SimBackup : public lockstep::BackupHost {
  public:
    SimBackup(World& world, int id);

    Process& process() { return process_; }
    const Process& process() const { return process_; }
    Console& console() { return console_; }
    ToyRam* ram() { return ram_.get(); }  // of the guest that it follows
    lockstep::Backup& machine() { return backup_; }
    lockstep::Backup::State state() const { return backup_.state(); }
    // The peer says that the guest has ended, in a state in which that is not believed.
    void hears_untrue_end();
    bool runs() const { return process_.alive() && guest_ && !exits_; }
    const ToyGuest* guest() const { return guest_ ? &*guest_ : nullptr; }
    // It holds a committed epoch of this generation's guest, and nothing keeps it from taking over
    // but the arbiter.
    bool could_take_over(lockstep::Generation generation) const;
    // Position behind the committed console output.
    std::uint64_t committed_end() const { return committed_end_; }
    // What it was sent, and what it says, as seen on the wire.
    void gets_commit(const lockstep::CommitMessage& commit) { next_end_ = commit.output_end; }
    void acknowledges() { committed_end_ = next_end_; }

    TimePoint now() override { return process_.now(); }
    Result<Prepared> prepare(const lockstep::HelloMessage& hello) override;
    Result<void> check(std::span<const std::uint8_t> state) override;
    Result<void> accept() override { return {}; }
    void discard() override { ram_.reset(); }
    void claim(lockstep::Generation generation) override;
    void try_claim() override;
    void stays(const std::string&) override {}
    Result<bool> take_disks(lockstep::Generation generation) override;
    Result<void> take_over(const lockstep::Shadow& shadow, lockstep::Generation generation,
                           lockstep::BootTime speak_from) override;
    void guest_ended(const std::string& reason) override;
    void failed(const std::string& why) override;

  private:
    void check_whole(const lockstep::Shadow& shadow);
    void run_guest();
    void exit_when_written(unsigned tries);

    World& world_;
    Process process_;
    lockstep::Generation generation_ = 0;  // of the primary; our own once the guest runs here
    const std::shared_ptr<lockstep::PairPermit> pair_ = lockstep::PairPermit::create().value();
    Console console_;
    std::unique_ptr<ToyRam> ram_;
    std::uint64_t checked_ = 0;  // states
    std::optional<lockstep::ConsoleGate> gate_;
    std::optional<ToyGuest> guest_;
    lockstep::Backup backup_;
    std::optional<Timer> timer_;
    std::optional<TimePoint> disks_free_at_;
    bool exits_ = false;
    std::uint64_t next_end_ = 0;
    std::uint64_t committed_end_ = 0;
};

}  // namespace fmvm::sim
