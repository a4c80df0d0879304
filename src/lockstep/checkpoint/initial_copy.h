// SPDX-License-Identifier: Apache-2.0
// Sends all of a guest's RAM to a new backup while the guest runs and writes.
//
// It goes in rounds. The first has every page, each later one what was written while the round
// before was sent. When little is left, or rounds no longer shrink, the rest goes with the first
// cut.
//
//     copying --next() has sent a round, and much is left--> copying, the next round
//     copying --next() has sent a round, and little is left--> done --take_rest()--> done
//
// Threads: the replication thread.
#pragma once

#include <array>
#include <vector>

#include "lockstep/checkpoint/page_store.h"
#include "lockstep/wire/page_codec.h"
#include "vmm/dirty_log/dirty_log.h"
#include "vmm/machine/checkpointed_machine.h"
#include "vmm/memory/page_map.h"

namespace fmvm::lockstep {

class InitialCopy {
  public:
    // All outlive this. The dirty log is started and watches nothing; the VMM's own dirty marks
    // were taken.
    InitialCopy(CheckpointedMachine& machine, DirtyLog& log, PageStore& store,
                const PageCompression& compression);

    // The next body of pages, for epoch 1; empty when the copy is done.
    Result<GatheredBody> next();
    bool done() const { return done_; }
    unsigned percent() const;  // of this round

    // Adds what the last round left, once: no log names these pages any more. Done.
    void take_rest(PageSet& pages);

  private:
    Result<void> append(const std::vector<PageIndex>& pages, Body& body);
    std::vector<PageIndex> next_batch();
    Result<void> finish_round();

    CheckpointedMachine& machine_;
    GuestMemory& memory_;
    DirtyLog& log_;
    PageStore& store_;
    const PageCompression compression_;

    PageSet round_pages_;
    std::uint64_t round_total_ = 0;
    std::uint64_t round_done_ = 0;
    std::uint64_t next_page_ = 0;
    unsigned round_ = 0;
    bool done_ = false;

    PageSet to_watch_;  // of the batch
    PageMap page_map_;
    std::array<std::uint8_t, page_size> page_copy_{};
};

}  // namespace fmvm::lockstep
