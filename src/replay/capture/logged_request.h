// SPDX-License-Identifier: Apache-2.0
// One request of the guest to a disk, as the block log keeps it once it has completed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "devices/block/block_backend.h"
#include "replay/capture/payload.h"
#include "vmm/memory/page_set.h"

namespace fmvm::replay {

// A whole guest page that a read filled. The log that a backup gets names such a page; GuestMemory
// has no mark for it. So a page that neither a mark nor a dirty log names at the cut still holds
// what the last such read put there.
struct FilledPage {
    PageIndex page = 0;
    std::uint64_t offset = 0;  // of the page's bytes in the request
    std::uint64_t digest = 0;  // XXH3-64 of what the read put there
};

// The bytes of a write, as its disk got them. The backend that carries the write out shares them
// with the log.
struct WritePayload {
    Payload bytes;
    Segments segments;  // where in guest RAM the bytes were
    // The last request that the log had when the bytes were copied. What reads up to that one
    // filled was in guest RAM then.
    std::uint64_t taken_after = 0;
    // Only the thread that applies the reference rule uses this. For each page of `segments`:
    // whether guest RAM still held the same bytes at the last cut that found this write in flight.
    // Empty: no cut has found it.
    std::vector<bool> matched;
};

struct LoggedRequest {
    std::uint64_t sequence = 0;
    std::uint8_t disk = 0;
    BlockOp op = BlockOp::read;
    bool failed = false;
    bool may_unmap = false;
    std::uint64_t offset = 0;             // bytes
    std::uint64_t length = 0;             // bytes
    std::shared_ptr<WritePayload> write;  // of a write that has not failed
    std::vector<FilledPage> filled;       // of a read
};

}  // namespace fmvm::replay
