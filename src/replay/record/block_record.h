// SPDX-License-Identifier: Apache-2.0
// One block request as somebody else carries it out again: the backup on its own disk, in step with
// the epochs, or `fmvm replay` on a copy of the starting image. docs/replay.md has the rules.
//
// A write carries its payload by reference (segments: where in guest RAM the same bytes are) or by
// value (payload, and no segments). A read that fills guest pages carries where they are; in a log
// for offline use it has no segments and is only verified.
//
// Encoded, little-endian: u64 sequence, u8 disk, u8 op, u8 flags (1 failed, 2 may unmap, 4 by
// value), u64 offset, u64 length, u64 digest, u16 segments, for each u64 address and u32 length;
// by value: the payload, `length` bytes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/byte_codec.h"
#include "base/result.h"
#include "devices/block/block_backend.h"

namespace fmvm::replay {

struct BlockRecord {
    std::uint64_t sequence = 0;  // grows within a log: the order in which records are carried out
    std::uint8_t disk = 0;       // in the order of --disk
    BlockOp op = BlockOp::read;
    bool failed = false;       // on the primary; not carried out
    bool may_unmap = false;    // write zeroes
    bool by_value = false;     // write
    std::uint64_t offset = 0;  // bytes
    std::uint64_t length = 0;  // bytes; flush: 0
    // write: XXH3-64 of the payload. read: XXH3-64 of the list of the digests (u64, little-endian)
    // of its pieces of page_size bytes, the last of which may be shorter.
    std::uint64_t digest = 0;
    Segments segments;
    std::span<const std::uint8_t> payload;  // of a write by value; belongs to somebody else
};

inline bool has_changed_disk(const BlockRecord& record) {
    return changes_disk(record.op) && !record.failed;
}

// A by-value payload is at most this long; a longer write becomes several records.
inline constexpr std::uint64_t record_payload_max = 1 * mib;
// Of any read or write: no guest's is longer, and no backend takes more pieces at once (IOV_MAX).
inline constexpr std::uint64_t record_transfer_max = 16 * mib;
inline constexpr std::size_t record_segments_max = 1024;

// All but the payload, which the caller appends.
void encode_record(const BlockRecord& record, ByteWriter& out);
// The next record of `in`, payload included (it points into what `in` reads). The reader fails on a
// malformed one: unknown op or flags, lengths that do not fit together.
BlockRecord decode_record(ByteReader& in);

// What a record must fit.
struct DiskLimits {
    std::uint64_t capacity = 0;  // bytes
    std::uint32_t block_size = 512;
    bool read_only = false;
};
// One sentence when the record cannot be meant for these disks and this RAM (null: there is none,
// so that nothing may refer to it).
Result<void> check_record(const BlockRecord& record, std::span<const DiskLimits> disks,
                          const GuestMemory* memory);

}  // namespace fmvm::replay
