// SPDX-License-Identifier: Apache-2.0
// What primary (source) and backup (target) say to each other to make two disks equal. For one
// disk:
//
//     target                                  source
//       known   ------------------------------>        what the label says, and the map
//               <------------------------------ begin  new pair id, all blocks that may differ
//       ready   ------------------------------>        the target's label says so, durably
//               <---------------------------- digests  a chunk: up to 64 blocks, XXH3-64 of each
//       wanted  ------------------------------>        those of the chunk that differ, if any
//               <----------------------------- blocks  their bytes, in one or more messages
//       done    ------------------------------>        the whole chunk is equal
//
// From `ready` on, and as long as the two are in step, either tells its serial before a step if
// that has advanced (replay/image/pair_progress.h).
//
// Up to chunks_max chunks are on their way at a time. Numbers are little-endian. A u32 count stands
// before each list, and block numbers ascend within a list. Bodies are hostile: decode() checks all
// that can be checked without knowing the disk, and the state machines check the rest. Each message
// lists its fields once, in resync_messages.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/field_list.h"
#include "base/result.h"
#include "replay/image/block_set.h"
#include "replay/image/disk_label.h"
#include "replay/image/pair_progress.h"
#include "replay/resync/pair_basis.h"

namespace fmvm::replay {

inline constexpr std::size_t chunk_blocks_max = 64;
inline constexpr std::size_t chunks_max = 4;
// A `blocks` body holds no more payload than this.
inline constexpr std::size_t blocks_payload_max = 2 * mib;

// A set of blocks on the wire. Each bit stands for 2^shift blocks. When one bit for each block
// would not fit, the set grows to a superset of what was packed, which is always right.
struct PackedBlocks {
    std::uint8_t shift = 0;
    std::vector<std::uint8_t> bits;  // up to the last one that is set

    static constexpr std::size_t bytes_max = 2 * mib;
    static constexpr std::uint8_t shift_max = 40;
    static PackedBlocks pack(const BlockSet& blocks);
    // For a disk of `block_count` blocks. An error if a bit beyond them is set.
    Result<BlockSet> unpack(std::uint64_t block_count) const;
};

struct KnownMessage {
    std::uint8_t disk = 0;
    std::uint64_t image_bytes = 0;
    bool read_only = false;
    LabelId vm{};
    LabelId pair{};  // if none, nothing is known and every block may differ
    DiskRole role = DiskRole::clean;
    PairProgress progress;  // under that pair
    PackedBlocks dirty;
    PackedBlocks data;  // that may hold anything; the others are holes

    std::vector<std::uint8_t> encode() const;
    static Result<KnownMessage> decode(std::span<const std::uint8_t> body);
};

struct BeginMessage {
    std::uint8_t disk = 0;
    std::uint64_t image_bytes = 0;
    LabelId pair{};
    PairBasis basis = PairBasis::strangers;  // on which the blocks were chosen
    PackedBlocks blocks;

    std::vector<std::uint8_t> encode() const;
    static Result<BeginMessage> decode(std::span<const std::uint8_t> body);
};

struct ReadyMessage {
    std::uint8_t disk = 0;

    std::vector<std::uint8_t> encode() const;
    static Result<ReadyMessage> decode(std::span<const std::uint8_t> body);
};

struct BlockDigest {
    BlockIndex block = 0;
    std::uint64_t digest = 0;
    bool operator==(const BlockDigest&) const = default;
};
inline constexpr std::size_t block_digest_bytes = 2 * sizeof(std::uint64_t);

void fields(auto& archive, FieldsOf<BlockDigest> auto& digest) {
    archive.u64(digest.block);
    archive.u64(digest.digest);
}

struct ChunkDigestsMessage {
    std::uint8_t disk = 0;
    std::uint64_t chunk = 0;
    std::vector<BlockDigest> digests;

    std::vector<std::uint8_t> encode() const;
    static Result<ChunkDigestsMessage> decode(std::span<const std::uint8_t> body);
};

struct WantedMessage {
    std::uint8_t disk = 0;
    std::uint64_t chunk = 0;
    std::vector<BlockIndex> blocks;  // not empty

    std::vector<std::uint8_t> encode() const;
    static Result<WantedMessage> decode(std::span<const std::uint8_t> body);
};

enum class BlockEncoding : std::uint8_t { zero = 0, raw = 1, lz4 = 2 };

struct PackedBlock {
    BlockIndex block = 0;
    BlockEncoding encoding = BlockEncoding::zero;
    std::vector<std::uint8_t> payload;  // empty for zero, otherwise 1 to disk_block_bytes

    // These bytes in the smallest form, or nearly.
    static PackedBlock pack(BlockIndex block, std::span<const std::uint8_t> bytes);
    // False if the payload does not make exactly bytes.size() bytes.
    [[nodiscard]] bool unpack(std::span<std::uint8_t> bytes) const;
};

struct BlocksMessage {
    std::uint8_t disk = 0;
    std::uint64_t chunk = 0;
    std::vector<PackedBlock> blocks;  // not empty

    std::vector<std::uint8_t> encode() const;
    static Result<BlocksMessage> decode(std::span<const std::uint8_t> body);
};

struct DoneMessage {
    std::uint8_t disk = 0;
    std::uint64_t chunk = 0;

    std::vector<std::uint8_t> encode() const;
    static Result<DoneMessage> decode(std::span<const std::uint8_t> body);
};

struct SerialMessage {
    std::uint8_t disk = 0;
    std::uint64_t serial = 0;

    std::vector<std::uint8_t> encode() const;
    static Result<SerialMessage> decode(std::span<const std::uint8_t> body);
};

}  // namespace fmvm::replay
