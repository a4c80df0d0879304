// SPDX-License-Identifier: Apache-2.0
// The disks of a machine that waits for a guest: its own images, made and kept equal to the
// primary's, below the devices that will use them.
//
//     being made equal --follow()--> following --take_over()--> taken over
//
// Disks that are found not to be equal are not trusted any more: their labels say so, and all of
// them is compared the next time.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/arbiter/generation.h"
#include "lockstep/disks/serial_teller.h"
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
        replay::LabelId origin{};  // of the primary's image
        bool discards = false;     // what is here may be lost: it counts as a stranger's
    };
    // `disks` in the order of --disk; `vm` and `generation` of the guest on the primary.
    // `answer_limit`: how long a disk may take to answer.
    StandbyDisks(GuestMemory& memory, std::vector<Disk> disks, const VmId& vm,
                 Generation generation,
                 std::chrono::milliseconds answer_limit = replay::Replayer::answer_max);
    // Disks that are at_rest() are destroyed at once. Others are waited for, within the answer
    // limit: only when the process ends, on the main thread.
    ~StandbyDisks() override;

    std::vector<OutgoingMessage> known() override;
    Result<std::vector<OutgoingMessage>> message(const Frame& frame) override;
    bool equal() const override;
    Result<void> follow() override;
    Result<void> check(const replay::BlockRecord& record) const override;
    Result<void> hear_serial(const replay::SerialMessage& message) override;
    void hear_commit() override;
    Result<void> mark(std::span<const replay::BlockRecord> records) override;
    std::vector<OutgoingMessage> acknowledge() override;
    Result<void> replay(std::span<const replay::BlockRecord> records) override;
    Result<bool> idle() override;
    bool at_rest() override;
    Result<void> check(const replay::CheckMessage& message) const override;
    Result<void> compare(const replay::CheckMessage& message) override;
    Result<void> sync() override;
    Result<void> release() override;

    // The guest is going to run on these disks under its new generation. False: not yet, because a
    // flush is still in flight; call again soon. Does not wait. After true no other call follows.
    Result<bool> take_over(Generation generation);

  private:
    enum class Phase { being_made_equal, following, taken_over };
    // Ascending: how little is known of what the images hold.
    enum class Doubt { none, flush_not_done, broken };

    Result<replay::ResyncTarget*> target(std::uint8_t disk);
    Result<std::vector<OutgoingMessage>> begin(const replay::BeginMessage& message);
    Result<std::vector<OutgoingMessage>> digests(const replay::ChunkDigestsMessage& chunk);
    Result<std::vector<OutgoingMessage>> blocks(const replay::BlocksMessage& blocks);
    // With the serials in front that the primary does not know yet.
    template <typename Message>
    std::vector<OutgoingMessage> answer(FrameType type, const Message& message);
    std::vector<OutgoingMessage> untold_serials();
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
    SerialTeller serials_;
    replay::Replayer replayer_;
    Phase phase_ = Phase::being_made_equal;
    Doubt doubt_ = Doubt::none;
};

}  // namespace fmvm::lockstep
