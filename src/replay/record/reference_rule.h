// SPDX-License-Identifier: Apache-2.0
// What of an epoch's block log travels, and how: the rule that keeps two disks and two RAMs equal
// without sending the data twice (docs/replay.md, "The reference rule").
//
// Pure, but for the `matched` of writes in flight. Threads: the replication thread, beside the
// running guest.
#pragma once

#include <memory>
#include <vector>

#include "replay/capture/block_log.h"
#include "replay/record/block_record.h"

namespace fmvm::replay {

// The pages that a cut has copied.
class CutPages {
  public:
    virtual ~CutPages() = default;
    // page_size bytes as of the cut; nullptr: not written since the cut before, but for reads that
    // the log names.
    virtual const std::uint8_t* find(PageIndex page) const = 0;
};

// What goes to the backup of the block log of an epoch.
struct OutgoingRecords {
    std::vector<BlockRecord> records;  // in order; payloads point into `kept`
    // Pages that reads fill on the backup, ascending. They do not travel. The cut may have copied
    // some of them.
    std::vector<PageIndex> filled;
    std::vector<std::shared_ptr<const WritePayload>> kept;
};

// How much of what the guest did to its disks is sent, and how much is only named.
struct BlockCounts {
    std::uint64_t records = 0;
    std::uint64_t referred_bytes = 0;  // written, and taken from its own RAM by the backup
    std::uint64_t sent_bytes = 0;      // written, and sent
    std::uint64_t read_bytes = 0;      // read again by the backup
    std::uint64_t log_bytes = 0;       // of all records as they were sent; the sender adds them up
};
BlockCounts count(const OutgoingRecords& outgoing);

enum class PayloadMode { by_reference, by_value };

// memory: for the numbers of pages only.
OutgoingRecords apply_reference_rule(const BlockLog::Epoch& epoch, const GuestMemory& memory,
                                     const CutPages& pages, PayloadMode mode);

// Nothing is known of what guest RAM holds since the payload was taken: the write will travel by
// value.
void forget_pages(WritePayload& write, const GuestMemory& memory);

// Records of requests whose payload travels whatever RAM holds (mirroring, an epoch log: there are
// reads then, a record for each page, to be verified).
OutgoingRecords by_value(const std::vector<LoggedRequest>& requests);

}  // namespace fmvm::replay
