// SPDX-License-Identifier: Apache-2.0
#include "replay/resync/resync_messages.h"

#include <lz4.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "base/bytes.h"
#include "base/field_list.h"

namespace fmvm::replay {

namespace {

// Whether the blocks of a list, each told in its turn, ascend.
class Order {
  public:
    bool ascends_to(BlockIndex block) {
        const bool ascends = !last_ || block > *last_;
        last_ = block;
        return ascends;
    }

  private:
    std::optional<BlockIndex> last_;
};

constexpr ListLimits chunk_list(std::size_t element_bytes_min) {
    return {.element_bytes_min = element_bytes_min, .count_max = chunk_blocks_max, .count_min = 1};
}

// A block that does not become smaller than this is not worth unpacking.
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

void fields(auto& archive, FieldsOf<PackedBlocks> auto& blocks) {
    archive.u8(blocks.shift);
    archive.check(blocks.shift <= PackedBlocks::shift_max);
    archive.blob(blocks.bits, PackedBlocks::bytes_max);
}

void fields(auto& archive, FieldsOf<KnownMessage> auto& known) {
    archive.u8(known.disk);
    archive.u64(known.image_bytes);
    archive.flag(known.read_only);
    archive.raw(known.vm);
    archive.raw(known.pair);
    archive.enumeration(known.role, DiskRole::syncing);
    archive.u64(known.progress.serial);
    archive.u64(known.progress.peer_serial);
    archive.u64(known.progress.sent);
    archive.u64(known.progress.heard);
    fields(archive, known.dirty);
    fields(archive, known.data);
}

void fields(auto& archive, FieldsOf<BeginMessage> auto& begin) {
    archive.u8(begin.disk);
    archive.u64(begin.image_bytes);
    archive.raw(begin.pair);
    archive.check(begin.pair != LabelId{});
    archive.enumeration(begin.basis, PairBasis::primary_behind);
    fields(archive, begin.blocks);
}

void fields(auto& archive, FieldsOf<ReadyMessage> auto& ready) {
    archive.u8(ready.disk);
}

void fields(auto& archive, FieldsOf<ChunkDigestsMessage> auto& digests) {
    archive.u8(digests.disk);
    archive.u64(digests.chunk);
    Order order;
    archive.list(digests.digests, chunk_list(block_digest_bytes),
                 [&order](auto& element, auto& digest) {
                     fields(element, digest);
                     element.check(order.ascends_to(digest.block));
                 });
}

void fields(auto& archive, FieldsOf<WantedMessage> auto& wanted) {
    archive.u8(wanted.disk);
    archive.u64(wanted.chunk);
    Order order;
    archive.list(wanted.blocks, chunk_list(sizeof(BlockIndex)),
                 [&order](auto& element, auto& block) {
                     element.u64(block);
                     element.check(order.ascends_to(block));
                 });
}

void fields(auto& archive, FieldsOf<PackedBlock> auto& packed) {
    archive.u64(packed.block);
    archive.enumeration(packed.encoding, BlockEncoding::lz4);
    archive.blob(packed.payload, disk_block_bytes);
    archive.check(packed.payload.empty() == (packed.encoding == BlockEncoding::zero));
}

void fields(auto& archive, FieldsOf<BlocksMessage> auto& message) {
    constexpr std::size_t packed_bytes_min = sizeof(BlockIndex) + 1 + sizeof(std::uint32_t);
    archive.u8(message.disk);
    archive.u64(message.chunk);
    Order order;
    archive.list(message.blocks, chunk_list(packed_bytes_min),
                 [&order](auto& element, auto& packed) {
                     fields(element, packed);
                     element.check(order.ascends_to(packed.block));
                 });
}

void fields(auto& archive, FieldsOf<DoneMessage> auto& done) {
    archive.u8(done.disk);
    archive.u64(done.chunk);
}

void fields(auto& archive, FieldsOf<SerialMessage> auto& serial) {
    archive.u8(serial.disk);
    archive.u64(serial.serial);
}

FMVM_CODEC_BY_FIELDS(KnownMessage, "known-blocks")
FMVM_CODEC_BY_FIELDS(BeginMessage, "resync-begin")
FMVM_CODEC_BY_FIELDS(ReadyMessage, "resync-ready")
FMVM_CODEC_BY_FIELDS(ChunkDigestsMessage, "block-digests")
FMVM_CODEC_BY_FIELDS(WantedMessage, "wanted-blocks")
FMVM_CODEC_BY_FIELDS(BlocksMessage, "blocks")
FMVM_CODEC_BY_FIELDS(DoneMessage, "chunk-done")
FMVM_CODEC_BY_FIELDS(SerialMessage, "disk-serial")

}  // namespace fmvm::replay
