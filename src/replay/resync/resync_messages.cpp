// SPDX-License-Identifier: Apache-2.0
#include "replay/resync/resync_messages.h"

#include <lz4.h>

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "base/checked_message.h"

namespace fmvm::replay {

namespace {

void put(ByteWriter& out, const PackedBlocks& blocks) {
    out.u8(blocks.shift);
    out.blob(blocks.bits);
}

PackedBlocks take_blocks(ByteReader& in) {
    PackedBlocks blocks;
    blocks.shift = in.u8();
    if (blocks.shift > PackedBlocks::shift_max) in.fail();
    const auto bits = in.blob(PackedBlocks::bytes_max);
    blocks.bits.assign(bits.begin(), bits.end());
    return blocks;
}

// Elements of a list that has at least one and at most chunk_blocks_max.
std::uint32_t take_count(ByteReader& in, std::size_t element_bytes_min) {
    const std::uint32_t count = in.count(element_bytes_min);
    if (count == 0 || count > chunk_blocks_max) in.fail();
    return in.ok() ? count : 0;
}

// Fails unless the blocks of a list, each given to next(), ascend.
class Ascending {
  public:
    explicit Ascending(ByteReader& in) : in_(in) {}
    BlockIndex next() {
        const BlockIndex block = in_.u64();
        if (!first_ && block <= last_) in_.fail();
        first_ = false;
        last_ = block;
        return block;
    }

  private:
    ByteReader& in_;
    bool first_ = true;
    BlockIndex last_ = 0;
};

// Smaller than this, or it is not worth unpacking.
int lz4_bytes_max(std::size_t size) {
    return static_cast<int>(size - size / 16);
}

}  // namespace

PackedBlocks PackedBlocks::pack(const BlockSet& blocks) {
    PackedBlocks packed;
    while ((blocks.bound() >> packed.shift) / 8 >= bytes_max)
        ++packed.shift;
    blocks.for_each([&packed](BlockIndex block) {
        const std::uint64_t bit = block >> packed.shift;
        if (packed.bits.size() <= bit / 8) packed.bits.resize(bit / 8 + 1);
        packed.bits[bit / 8] = static_cast<std::uint8_t>(packed.bits[bit / 8] | 1U << (bit % 8));
    });
    return packed;
}

Result<BlockSet> PackedBlocks::unpack(std::uint64_t block_count) const {
    BlockSet blocks(block_count);
    for (std::size_t at = 0; at < bits.size(); ++at) {
        for (unsigned left = bits[at]; left != 0; left &= left - 1) {
            const std::uint64_t bit = at * 8 + static_cast<unsigned>(std::countr_zero(left));
            const BlockIndex first = bit << shift;
            if (first >= block_count)
                return Error("a set of blocks names some beyond the disk's end");
            const BlockIndex end = std::min(first + (BlockIndex{1} << shift), block_count);
            for (BlockIndex block = first; block < end; ++block)
                blocks.insert(block);
        }
    }
    return blocks;
}

std::vector<std::uint8_t> KnownMessage::encode() const {
    ByteWriter out;
    out.u8(disk);
    out.u64(image_bytes);
    out.flag(read_only);
    out.raw(vm);
    out.raw(pair);
    out.u8(static_cast<std::uint8_t>(role));
    put(out, dirty);
    return out.take();
}

Result<KnownMessage> KnownMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    KnownMessage message;
    message.disk = in.u8();
    message.image_bytes = in.u64();
    message.read_only = in.flag();
    message.vm = take_id(in);
    message.pair = take_id(in);
    const std::uint8_t role = in.u8();
    if (role > static_cast<std::uint8_t>(DiskRole::syncing)) in.fail();
    message.role = static_cast<DiskRole>(role);
    message.dirty = take_blocks(in);
    return checked(std::move(message), in, "known-blocks");
}

std::vector<std::uint8_t> BeginMessage::encode() const {
    ByteWriter out;
    out.u8(disk);
    out.u64(image_bytes);
    out.raw(pair);
    put(out, blocks);
    return out.take();
}

Result<BeginMessage> BeginMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    BeginMessage message;
    message.disk = in.u8();
    message.image_bytes = in.u64();
    message.pair = take_id(in);
    if (message.pair == LabelId{}) in.fail();
    message.blocks = take_blocks(in);
    return checked(std::move(message), in, "resync-begin");
}

void put(ByteWriter& out, std::span<const BlockDigest> digests) {
    out.u32(static_cast<std::uint32_t>(digests.size()));
    for (const BlockDigest& digest : digests) {
        out.u64(digest.block);
        out.u64(digest.digest);
    }
}

std::vector<std::uint8_t> ReadyMessage::encode() const {
    return {disk};
}

Result<ReadyMessage> ReadyMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    const ReadyMessage message{in.u8()};
    return checked(message, in, "resync-ready");
}

std::vector<std::uint8_t> ChunkDigestsMessage::encode() const {
    ByteWriter out;
    out.u8(disk);
    out.u64(chunk);
    put(out, digests);
    return out.take();
}

Result<ChunkDigestsMessage> ChunkDigestsMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    ChunkDigestsMessage message;
    message.disk = in.u8();
    message.chunk = in.u64();
    const std::uint32_t count = take_count(in, 2 * sizeof(std::uint64_t));
    Ascending blocks(in);
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        const BlockIndex block = blocks.next();
        message.digests.push_back({block, in.u64()});
    }
    return checked(std::move(message), in, "block-digests");
}

std::vector<std::uint8_t> WantedMessage::encode() const {
    ByteWriter out;
    out.u8(disk);
    out.u64(chunk);
    out.u32(static_cast<std::uint32_t>(blocks.size()));
    for (const BlockIndex block : blocks)
        out.u64(block);
    return out.take();
}

Result<WantedMessage> WantedMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    WantedMessage message;
    message.disk = in.u8();
    message.chunk = in.u64();
    const std::uint32_t count = take_count(in, sizeof(std::uint64_t));
    Ascending blocks(in);
    for (std::uint32_t i = 0; i < count && in.ok(); ++i)
        message.blocks.push_back(blocks.next());
    return checked(std::move(message), in, "wanted-blocks");
}

PackedBlock PackedBlock::pack(BlockIndex block, std::span<const std::uint8_t> bytes) {
    PackedBlock packed{block, BlockEncoding::zero, {}};
    if (is_zero(bytes)) return packed;
    packed.encoding = BlockEncoding::lz4;
    packed.payload.resize(static_cast<std::size_t>(lz4_bytes_max(bytes.size())));
    const int size = ::LZ4_compress_default(
        reinterpret_cast<const char*>(bytes.data()), reinterpret_cast<char*>(packed.payload.data()),
        static_cast<int>(bytes.size()), static_cast<int>(packed.payload.size()));
    if (size > 0) {
        packed.payload.resize(static_cast<std::size_t>(size));
    } else {
        packed.encoding = BlockEncoding::raw;
        packed.payload.assign(bytes.begin(), bytes.end());
    }
    return packed;
}

bool PackedBlock::unpack(std::span<std::uint8_t> bytes) const {
    switch (encoding) {
        case BlockEncoding::zero:
            std::ranges::fill(bytes, std::uint8_t{0});
            return payload.empty();
        case BlockEncoding::raw:
            if (payload.size() != bytes.size()) return false;
            copy_bytes(payload, bytes.data());
            return true;
        case BlockEncoding::lz4:
            return ::LZ4_decompress_safe(
                       reinterpret_cast<const char*>(payload.data()),
                       reinterpret_cast<char*>(bytes.data()), static_cast<int>(payload.size()),
                       static_cast<int>(bytes.size())) == static_cast<int>(bytes.size());
    }
    return false;
}

std::vector<std::uint8_t> BlocksMessage::encode() const {
    ByteWriter out;
    out.reserve(blocks_payload_max + 4096);
    out.u8(disk);
    out.u64(chunk);
    out.u32(static_cast<std::uint32_t>(blocks.size()));
    for (const PackedBlock& packed : blocks) {
        out.u64(packed.block);
        out.u8(static_cast<std::uint8_t>(packed.encoding));
        out.blob(packed.payload);
    }
    return out.take();
}

Result<BlocksMessage> BlocksMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    BlocksMessage message;
    message.disk = in.u8();
    message.chunk = in.u64();
    const std::uint32_t count = take_count(in, sizeof(std::uint64_t) + 1 + sizeof(std::uint32_t));
    Ascending blocks(in);
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        PackedBlock packed;
        packed.block = blocks.next();
        const std::uint8_t encoding = in.u8();
        if (encoding > static_cast<std::uint8_t>(BlockEncoding::lz4)) in.fail();
        packed.encoding = static_cast<BlockEncoding>(encoding);
        const auto payload = in.blob(disk_block_bytes);
        if (payload.empty() != (packed.encoding == BlockEncoding::zero)) in.fail();
        packed.payload.assign(payload.begin(), payload.end());
        message.blocks.push_back(std::move(packed));
    }
    return checked(std::move(message), in, "blocks");
}

std::vector<std::uint8_t> DoneMessage::encode() const {
    ByteWriter out;
    out.u8(disk);
    out.u64(chunk);
    return out.take();
}

Result<DoneMessage> DoneMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    DoneMessage message;
    message.disk = in.u8();
    message.chunk = in.u64();
    return checked(message, in, "chunk-done");
}

}  // namespace fmvm::replay
