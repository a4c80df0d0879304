// SPDX-License-Identifier: Apache-2.0
// Checkpoints of the toy guest: what Checkpointer does with a machine, in small.
#pragma once

#include <map>

#include "lockstep/checkpoint/checkpoint_source.h"
#include "sim/process.h"
#include "sim/toy_guest.h"

namespace fmvm::sim {

class ToySource : public lockstep::CheckpointSource {
  public:
    ToySource(Process& process, ToyGuest& guest, ToyRam& ram, lockstep::ConsoleGate& gate)
        : process_(process), guest_(guest), ram_(ram), gate_(gate) {}

    bool guest_stands() const { return stands_; }

    Result<void> begin() override;
    Result<lockstep::OutgoingMessage> next_initial() override;
    bool initial_done() const override { return initial_done_; }
    std::string initial_progress() const override { return {}; }
    bool awaits_backup() const override { return false; }
    Result<void> disk_message(const lockstep::Frame&) override { return Error("no disks"); }
    Result<void> cut(lockstep::EpochId epoch, bool stay_stopped) override;
    lockstep::OutgoingMessage next_message() override;
    const std::vector<std::uint8_t>& state() const override { return state_; }
    const lockstep::ConsoleGate::EpochOutput& output() const override { return output_; }
    const std::vector<std::uint64_t>& digests() const override { return digests_; }
    const lockstep::CutReport& report() const override { return report_; }
    const lockstep::PageCounts& counts() const override { return counts_; }
    replay::BlockCounts block_counts() const override { return {}; }
    void digest_next() override { digest_next_ = true; }
    replay::Scrubber* begin_scrub(std::uint64_t) override { return nullptr; }
    void end_scrub() override {}
    void committed(lockstep::EpochId) override {}
    bool finish_last_requests() override { return true; }
    std::optional<TimePoint> waiting_since() const override { return std::nullopt; }
    void resume() override { stands_ = false; }
    void go_on() override { stands_ = false; }
    void end() override { stands_ = false; }

  private:
    using Page = std::vector<std::uint8_t>;

    Process& process_;
    ToyGuest& guest_;
    ToyRam& ram_;
    lockstep::ConsoleGate& gate_;
    bool initial_done_ = false;
    bool stands_ = false;
    bool digest_next_ = false;

    PageSet to_send_{toy_pages};  // of this round of the initial copy
    unsigned round_ = 0;

    lockstep::EpochId epoch_ = 0;
    std::map<PageIndex, Page> staged_;
    std::map<PageIndex, Page> sent_;  // what the backup has for a page
    std::vector<std::uint8_t> state_;
    lockstep::ConsoleGate::EpochOutput output_;
    std::vector<std::uint64_t> digests_;
    lockstep::CutReport report_;
    lockstep::PageCounts counts_;
};

}  // namespace fmvm::sim
