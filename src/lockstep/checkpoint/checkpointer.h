// SPDX-License-Identifier: Apache-2.0
// Takes checkpoints of a running machine.
//
// The guest stands only while vCPUs stop, devices park, the dirty set is taken, dirty pages are
// copied to the staging area and state is encoded. Comparing, packing and sending happen beside the
// running guest. Should the staging area be too small for a dirty set, the guest stands until the
// pages that did not fit have been packed straight from its RAM: memory stays bounded, the guest
// pays. (Letting it go on as soon as those have been packed was measured: it only dirties more.)
//
//     initial_copy  RAM as a whole, while the guest runs
//     staged_cut    the pages of a cut
//     page_packer   what of them travels, and how
//
// Threads: the replication thread, which is the machine's controlling thread while this exists.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "lockstep/checkpoint/checkpoint_source.h"
#include "lockstep/checkpoint/initial_copy.h"
#include "lockstep/checkpoint/page_packer.h"
#include "lockstep/checkpoint/staged_cut.h"
#include "lockstep/disks/primary_disks.h"
#include "lockstep/input/packet_forwarder.h"
#include "lockstep/output/epoch_gate.h"
#include "vmm/dirty_log/dirty_log.h"
#include "vmm/machine/checkpointed_machine.h"

namespace fmvm::lockstep {

struct CheckpointerOptions {
    std::uint64_t store_bytes = 256 * mib;  // staged pages and copies of sent ones together
    bool hot_pages = true;
    PageCompression compression{.delta = true, .lz4 = true};
    // So many pages of an epoch are tried with LZ4, so that it costs a large one little; the
    // initial copy none, unless it is lz4_all.
    unsigned lz4_pages_max = 128;
    static constexpr unsigned lz4_all = std::numeric_limits<unsigned>::max();
    unsigned verify_every = 0;  // epochs; 0: never
    bool operator==(const CheckpointerOptions&) const = default;
};

class Checkpointer : public CheckpointSource {
  public:
    // Machine, log, console, gates, disks and packets outlive this. disks: those of which the
    // backup has its own. packets: what cards take from outside; null: it is not forwarded.
    static Result<std::unique_ptr<Checkpointer>> create(CheckpointedMachine& machine, DirtyLog& log,
                                                        ConsoleGate& console,
                                                        std::vector<EpochGate*> gates,
                                                        PrimaryDisks& disks,
                                                        const CheckpointerOptions& options,
                                                        PacketForwarder* packets = nullptr);
    ~Checkpointer() override;

    Result<void> begin() override;
    Result<OutgoingMessage> next_initial() override;
    bool initial_done() const override;
    std::string initial_progress() const override;
    bool awaits_backup() const override { return disks_.awaits_backup(); }
    Result<void> disk_message(const Frame& frame) override { return disks_.message(frame); }
    Result<void> cut(EpochId epoch, bool stay_stopped) override;
    OutgoingMessage next_message() override;
    const std::vector<std::uint8_t>& state() const override { return cut_.state; }
    const ConsoleGate::EpochOutput& output() const override { return cut_.output; }
    const std::vector<std::uint64_t>& digests() const override { return cut_.digests; }
    const CutReport& report() const override { return cut_.report; }
    const PageCounts& counts() const override;
    replay::BlockCounts block_counts() const override { return disks_.counts(); }
    void digest_next() override { digest_next_ = true; }
    replay::Scrubber* begin_scrub(std::uint64_t bytes_per_second) override {
        return disks_.begin_scrub(bytes_per_second);
    }
    void end_scrub() override { disks_.end_scrub(); }
    void committed(EpochId epoch) override;
    std::vector<PacketMessage> take_packets() override;
    bool finish_last_requests() override;
    std::optional<std::chrono::steady_clock::time_point> waiting_since() const override;
    void resume() override;
    void go_on() override;
    void end() override;

  private:
    // What lives from begin() to end(). Without a backup it takes no memory.
    struct Protection {
        Protection(CheckpointedMachine& machine, DirtyLog& log,
                   const std::shared_ptr<PageStore>& store, const CheckpointerOptions& options);
        InitialCopy initial;
        PagePacker packer;
        PageSet dirty;            // of the last cut
        PageSet to_watch;         // empty, but while a cut takes the dirty set
        bool pages_turn = false;  // in the initial copy: the last message was of the disks
    };
    // The last cut. Its pages: staged_.
    struct Cut {
        EpochId epoch = 0;  // 0: there was none since begin()
        std::chrono::steady_clock::time_point began{};
        bool stays_stopped = false;    // until resume()
        bool rule_is_applied = false;  // disks know what of their part travels, and what it fills
        std::vector<std::uint8_t> state;
        ConsoleGate::EpochOutput output;
        std::vector<std::uint64_t> digests;
        CutReport report;
    };

    Checkpointer(CheckpointedMachine& machine, DirtyLog& log, ConsoleGate& console,
                 std::vector<EpochGate*> gates, PrimaryDisks& disks,
                 const CheckpointerOptions& options, PacketForwarder* packets,
                 std::shared_ptr<PageStore> store);
    Result<void> take_dirty_set();
    void stage_pages();
    ConsoleGate::EpochOutput close_gates();
    void digest_pages();
    void apply_reference_rule();
    GatheredBody next_pages();
    bool holds_writes() const;
    void run_guest();

    CheckpointedMachine& machine_;
    DirtyLog& log_;
    ConsoleGate& console_;
    const std::vector<EpochGate*> gates_;
    PrimaryDisks& disks_;
    const CheckpointerOptions options_;
    PacketForwarder* const packets_;
    const std::shared_ptr<PageStore> store_;
    StagedCut staged_;
    std::unique_ptr<Protection> protection_;
    std::optional<QuiesceGuard> standing_;
    Cut cut_;
    bool digest_next_ = false;  // whatever the options say
};

}  // namespace fmvm::lockstep
