// SPDX-License-Identifier: Apache-2.0
// Disks of a primary without disks: they only say which pages a read has filled, as a test tells
// them.
#pragma once

#include <vector>

#include "lockstep/disks/primary_disks.h"

namespace fmvm::test {

class FillingDisks : public lockstep::PrimaryDisks {
  public:
    std::vector<PageIndex> filled_by_reads;  // of the next cut; ascending

    Result<void> begin() override { return {}; }
    Result<lockstep::OutgoingMessage> next_initial() override {
        return lockstep::OutgoingMessage{};
    }
    lockstep::OutgoingMessage rest_of_initial() override { return {}; }
    bool equal() const override { return true; }
    bool may_cut() const override { return true; }
    bool settled() const override { return true; }
    std::string progress() const override { return {}; }
    Result<void> message(const lockstep::Frame&) override { return {}; }
    void close(lockstep::EpochId) override {}
    void decide(const replay::StagedPages&) override {}
    const replay::BlockCounts& counts() const override { return counts_; }
    std::span<const PageIndex> filled() const override { return filled_by_reads; }
    lockstep::OutgoingMessage next_piece(lockstep::EpochId) override { return {}; }
    void committed(lockstep::EpochId) override {}
    bool under_pressure() const override { return false; }
    void on_pressure(std::function<void()>) override {}
    replay::Scrubber& begin_scrub(std::uint64_t) override { FMVM_CHECK(false); }
    void end_scrub() override {}
    void generation_changed(lockstep::Generation) override {}
    void end() override {}

  private:
    replay::BlockCounts counts_;
};

}  // namespace fmvm::test
