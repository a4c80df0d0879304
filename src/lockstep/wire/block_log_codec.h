// SPDX-License-Identifier: Apache-2.0
// Block records on the wire. A `block_log` body is the epoch (u64), followed by records up to the
// end of the body (replay/record/block_record.h).
#pragma once

#include <span>
#include <vector>

#include "lockstep/wire/gathered_body.h"
#include "lockstep/wire/messages.h"
#include "replay/record/block_record.h"

namespace fmvm::lockstep {

struct BlockLogBody {
    EpochId epoch = 0;
    std::vector<replay::BlockRecord> records;  // payloads point into the body
};

GatheredBody begin_block_log_body(EpochId epoch);
// The body refers to payloads instead of copying them. The caller keeps them (GatheredBody::keep).
void append_record(GatheredBody& body, const replay::BlockRecord& record);

// Checks the form of all records. The replayer checks whether they fit this side's disks.
Result<BlockLogBody> parse_block_log_body(std::span<const std::uint8_t> body);

}  // namespace fmvm::lockstep
