// SPDX-License-Identifier: Apache-2.0
// The machine that waits in a backup: built, its memory in place, its disks followed, ready to go
// on with the guest.
//
// Threads: the replication thread, until the guest runs; then the main one.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "base/trouble.h"
#include "lockstep/disks/standby_disks.h"
#include "lockstep/output/pair_permit.h"
#include "lockstep/service/backup_service.h"
#include "node/build/machine_builder.h"
#include "node/run/guest_end.h"

namespace fmvm::node {

// Guest RAM, to which a backup applies pages.
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
    // Remembers durably that this side is that guest's backup.
    using Accept = std::function<Result<void>()>;
    // What this side was told.
    struct Terms {
        std::vector<DiskOptions> disks;
        bool discard_disks;                    // what they hold may be lost
        std::chrono::milliseconds lost_after;  // the next backup takes this side for lost then
    };
    // hello: of the primary whose guest the machine waits for. control: where the guest's end is
    // told.
    StandbyMachine(BuiltMachine built, Terms terms, const lockstep::HelloMessage& hello,
                   std::shared_ptr<lockstep::PairPermit> pair, Accept accept,
                   boost::asio::io_context& control);

    lockstep::ShadowRam& ram() override { return ram_; }
    lockstep::ShadowDisks* disks() override { return own_disks_.get(); }
    Result<void> check(std::span<const std::uint8_t> state) override;
    Result<void> accept() override { return accept_(); }
    Result<bool> take_disks(lockstep::Generation generation) override;
    Result<void> run(const lockstep::Shadow& shadow, lockstep::Generation generation,
                     std::shared_ptr<lockstep::Arbiter> arbiter,
                     lockstep::BootTime speak_from) override;

    BuiltMachine& built() { return built_; }
    // The generation under which the guest runs here.
    const std::shared_ptr<std::atomic<lockstep::Generation>>& generation() { return generation_; }
    // By which its output leaves.
    const std::shared_ptr<lockstep::PairPermit>& pair() { return pair_; }
    const GuestEnding& ending() const { return ending_; }
    const lockstep::VmId& vm() const { return vm_; }
    // How long the guest stood before it ran here: from when its state began to arrive, by this
    // host's clock.
    std::chrono::nanoseconds stood() const { return stood_; }

  private:
    void make_own_disks(const lockstep::HelloMessage& hello);
    void plug_cards_in(const lockstep::PacketsAhead& packets);
    Result<bool> lock_disks();
    void tell_waiting(const std::string& disk, const std::string& why);

    BuiltMachine built_;
    const Terms terms_;
    const lockstep::VmId vm_;
    const std::shared_ptr<lockstep::PairPermit> pair_;
    const std::shared_ptr<std::atomic<lockstep::Generation>> generation_;
    const Accept accept_;
    const GuestEnding ending_ = std::make_shared<Occurrence<GuestEnd>>();
    MachineRam ram_;
    std::unique_ptr<lockstep::StandbyDisks> own_disks_;
    std::size_t disks_locked_ = 0;
    std::chrono::nanoseconds stood_{};
    Trouble waiting_;  // for a disk
};

}  // namespace fmvm::node
