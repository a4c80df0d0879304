// SPDX-License-Identifier: Apache-2.0
// Takes checkpoints of a running machine.
//
// The guest stands only while vCPUs stop, devices park, the dirty set is taken, dirty pages are
// copied to the staging area and state is encoded. Comparing, packing and sending happen beside the
// running guest. Should the staging area be too small for a dirty set, the guest stands until the
// pages that did not fit have been packed straight from its RAM: memory stays bounded, the guest
// pays. (Letting it go on as soon as those have been packed was measured: it only dirties more.)
//
// Threads: the replication thread, which is the machine's controlling thread while this exists.
#pragma once

#include <array>
#include <limits>
#include <memory>
#include <vector>

#include "lockstep/checkpoint/checkpoint_source.h"
#include "lockstep/checkpoint/hot_pages.h"
#include "lockstep/checkpoint/page_store.h"
#include "lockstep/checkpoint/sent_copies.h"
#include "lockstep/checkpoint/shared_work.h"
#include "lockstep/disks/primary_disks.h"
#include "lockstep/output/write_gate.h"
#include "lockstep/wire/page_codec.h"
#include "vmm/dirty_log/dirty_log.h"
#include "vmm/machine/checkpointed_machine.h"
#include "vmm/memory/page_map.h"

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

class Checkpointer : public CheckpointSource, private replay::StagedPages {
  public:
    // Machine, log, gates and disks outlive this. disks: of which the backup has its own; may be
    // null.
    static Result<std::unique_ptr<Checkpointer>> create(CheckpointedMachine& machine, DirtyLog& log,
                                                        ConsoleGate& gate,
                                                        std::vector<WriteGate*> write_gates,
                                                        PrimaryDisks* disks,
                                                        const CheckpointerOptions& options);
    ~Checkpointer() override;

    Result<void> begin() override;
    Result<OutgoingMessage> next_initial() override;
    bool initial_done() const override;
    std::string initial_progress() const override;
    Result<void> disk_message(const Frame& frame) override;
    Result<void> cut(EpochId epoch, bool stay_stopped) override;
    OutgoingMessage next_piece() override;
    const std::vector<std::uint8_t>& state() const override { return state_; }
    const ConsoleGate::EpochOutput& output() const override { return output_; }
    const std::vector<std::uint64_t>& digests() const override { return digests_; }
    const CutReport& report() const override { return report_; }
    const PageCounts& counts() const override { return counts_; }
    replay::BlockCounts block_counts() const override {
        return disks_ == nullptr ? replay::BlockCounts{} : disks_->counts();
    }
    void digest_next() override { digest_next_ = true; }
    replay::Scrubber* begin_scrub(std::uint64_t bytes_per_second) override {
        return disks_ == nullptr ? nullptr : &disks_->begin_scrub(bytes_per_second);
    }
    void end_scrub() override {
        if (disks_ != nullptr) disks_->end_scrub();
    }
    void committed(EpochId epoch) override;
    bool settle() override;
    std::optional<std::chrono::steady_clock::time_point> waiting_since() const override;
    void resume() override;
    void end() override;

  private:
    struct Staged {
        PageIndex page;
        PageStore::Slot slot;  // none: it did not fit, take it from the standing guest's RAM
    };

    Checkpointer(CheckpointedMachine& machine, DirtyLog& log, ConsoleGate& gate,
                 std::vector<WriteGate*> write_gates, PrimaryDisks* disks,
                 const CheckpointerOptions& options, std::shared_ptr<PageStore> store);
    const std::uint8_t* find(PageIndex page) const override;
    Result<GatheredBody> next_initial_pages();
    GatheredBody next_pages();
    std::vector<PageIndex> next_initial_chunk();
    Result<void> finish_initial_round();
    void add_marks(PageSet& pages);
    Result<void> take_dirty_set();
    void copy_pages();
    void copy_piece(std::size_t piece);
    void digest_pages();
    void decide();
    void pack(const Staged& staged, GatheredBody& body, SlotLease& lease);
    PageEncoding append(const Staged& staged, PageBytes now, const std::uint8_t* before,
                        GatheredBody& body, SlotLease& lease);
    void keep_copy(const Staged& staged);
    void count(PageEncoding encoding);
    void forget_copies();
    ConsoleGate::EpochOutput close_gates();
    bool holds_writes() const;

    CheckpointedMachine& machine_;
    GuestMemory& memory_;
    DirtyLog& log_;
    ConsoleGate& gate_;
    const std::vector<WriteGate*> write_gates_;
    PrimaryDisks* const disks_;
    const CheckpointerOptions options_;
    const std::shared_ptr<PageStore> store_;
    std::unique_ptr<SentCopies> copies_;
    std::unique_ptr<HotPages> hot_;
    std::unique_ptr<QuiesceGuard> standing_;

    // The initial copy.
    PageSet to_send_;  // of this round
    std::uint64_t round_total_ = 0;
    std::uint64_t round_done_ = 0;
    std::uint64_t next_page_ = 0;
    unsigned round_ = 0;
    bool initial_done_ = false;
    unsigned lz4_left_ = 0;    // pages of this epoch that may be tried
    bool pages_next_ = false;  // the last piece was of the disks
    std::array<std::uint8_t, page_size> live_page_;
    PageMap page_map_;

    // The last cut.
    PageSet dirty_;
    PageSet pending_;  // to be sent with the next cut although no log names them
    PageSet to_watch_;
    std::vector<Staged> staged_;
    SharedWork copy_work_;
    std::size_t next_staged_ = 0;
    EpochId epoch_ = 0;
    bool decided_ = false;  // what of the disks' part travels, and which pages need not
    bool fits_ = true;      // every page found a slot
    bool stay_stopped_ = false;
    bool digest_next_ = false;  // whatever the options say
    std::vector<std::uint8_t> state_;
    ConsoleGate::EpochOutput output_;
    std::vector<std::uint64_t> digests_;
    CutReport report_;
    std::chrono::steady_clock::time_point cut_began_{};
    PageCounts counts_;
};

}  // namespace fmvm::lockstep
