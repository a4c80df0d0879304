// SPDX-License-Identifier: Apache-2.0
// The PrimaryDisks of a machine that has no disks of which the backup has its own: always equal,
// idle, and without anything to send.
#pragma once

#include "lockstep/disks/primary_disks.h"

namespace fmvm::lockstep {

class NoDisks : public PrimaryDisks {
  public:
    bool any() const override { return false; }
    Result<void> begin() override { return {}; }
    Result<OutgoingMessage> next_initial() override { return OutgoingMessage{}; }
    OutgoingMessage rest_of_initial() override { return {}; }
    bool equal() const override { return true; }
    bool may_cut() const override { return true; }
    bool is_idle() const override { return true; }
    std::string progress() const override { return {}; }
    bool awaits_backup() const override { return false; }
    Result<void> message(const Frame&) override {
        return Error("it sent a message about disks that it does not have");
    }
    void close(EpochId) override {}
    void apply_reference_rule(const replay::CutPages&) override {}
    const replay::BlockCounts& counts() const override { return counts_; }
    std::span<const PageIndex> filled() const override { return {}; }
    OutgoingMessage next_message(EpochId) override { return {}; }
    void committed(EpochId) override {}
    bool under_pressure() const override { return false; }
    void on_pressure(std::function<void()>) override {}
    replay::Scrubber* begin_scrub(std::uint64_t) override { return nullptr; }
    void end_scrub() override {}
    void generation_changed(Generation) override {}
    void end() override {}

  private:
    const replay::BlockCounts counts_{};
};

}  // namespace fmvm::lockstep
