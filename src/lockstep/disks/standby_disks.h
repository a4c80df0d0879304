// SPDX-License-Identifier: Apache-2.0
// The disks of a machine that waits for a guest: its own images, made and kept equal to the
// primary's, below the devices that will use them.
//
// Threads: the replication thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lockstep/arbiter/generation.h"
#include "lockstep/disks/shadow_disks.h"
#include "replay/apply/replayer.h"
#include "replay/resync/resync_target.h"

namespace fmvm::lockstep {

class StandbyDisks : public ShadowDisks {
  public:
    struct Disk {
        std::string name;                      // for messages
        BlockBackend* backend = nullptr;       // outlives this; nobody else uses it meanwhile
        replay::DirtyBlockMap* map = nullptr;  // outlives this
        std::unique_ptr<replay::ImageBlocks> image;
    };
    // In the order of --disk. The guest's VM and its generation on the primary.
    StandbyDisks(GuestMemory& memory, std::vector<Disk> disks, const VmId& vm,
                 Generation generation);
    ~StandbyDisks() override;

    std::vector<OutgoingMessage> known() override;
    Result<std::vector<OutgoingMessage>> message(const Frame& frame) override;
    bool equal() const override;
    Result<void> follow() override;
    Result<void> check(const replay::BlockRecord& record) const override;
    Result<void> mark(std::span<const replay::BlockRecord> records) override;
    Result<void> replay(std::span<const replay::BlockRecord> records) override;
    Result<bool> idle() override;
    Result<void> check(const replay::CheckMessage& message) const override;
    Result<void> compare(const replay::CheckMessage& message) override;
    Result<void> sync() override;
    Result<void> release() override;

    // The guest is going to run on these disks under its new generation. False: not yet, a flush is
    // still under way; call again soon. Nothing of this class is called any more after true.
    Result<bool> take_over(Generation generation);

  private:
    Result<replay::ResyncTarget*> target(std::uint8_t disk);
    Result<void> set_role(replay::DiskRole role, Generation generation);
    Result<void> compare(const Disk& disk, const replay::BlockDigest& expected);
    Result<void> check_sizes() const;
    Result<void> trusted(Result<void> done);
    void distrust();
    void forget_changes();

    std::vector<Disk> disks_;
    const VmId vm_;
    const Generation generation_;
    std::vector<replay::ResyncTarget> targets_;
    replay::Replayer replayer_;
    bool following_ = false;
    bool taken_over_ = false;
};

}  // namespace fmvm::lockstep
