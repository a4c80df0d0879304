// SPDX-License-Identifier: Apache-2.0
#include "replay/record/block_record.h"

namespace fmvm::replay {

namespace {

constexpr std::uint8_t flag_failed = 1;
constexpr std::uint8_t flag_may_unmap = 2;
constexpr std::uint8_t flag_by_value = 4;
constexpr std::uint8_t flags_known = flag_failed | flag_may_unmap | flag_by_value;

bool has_data(BlockOp op) {
    return op == BlockOp::read || op == BlockOp::write;
}

// Whether its fields make sense together, whatever the disks are.
bool is_well_formed(const BlockRecord& record) {
    if (record.by_value && (record.op != BlockOp::write || record.failed)) return false;
    if (record.by_value && !record.segments.empty()) return false;
    if (record.by_value && record.length > record_payload_max) return false;
    if (has_data(record.op) && record.length > record_transfer_max) return false;
    if (!record.segments.empty() &&
        (!has_data(record.op) || total_length(record.segments) != record.length)) {
        return false;
    }
    if (record.op == BlockOp::flush) return record.length == 0 && record.offset == 0;
    return record.length != 0;
}

}  // namespace

void encode_record(const BlockRecord& record, ByteWriter& out) {
    std::uint8_t flags = 0;
    if (record.failed) flags |= flag_failed;
    if (record.may_unmap) flags |= flag_may_unmap;
    if (record.by_value) flags |= flag_by_value;
    out.u64(record.sequence);
    out.u8(record.disk);
    out.u8(static_cast<std::uint8_t>(record.op));
    out.u8(flags);
    out.u64(record.offset);
    out.u64(record.length);
    out.u64(record.digest);
    out.u16(static_cast<std::uint16_t>(record.segments.size()));
    for (const Segment& segment : record.segments) {
        out.u64(segment.address.value());
        out.u32(segment.length);
    }
}

BlockRecord decode_record(ByteReader& in) {
    BlockRecord record;
    record.sequence = in.u64();
    record.disk = in.u8();
    const std::uint8_t op = in.u8();
    const std::uint8_t flags = in.u8();
    if (op > static_cast<std::uint8_t>(BlockOp::write_zeroes) || (flags & ~flags_known) != 0)
        in.fail();
    record.op = static_cast<BlockOp>(op);
    record.failed = (flags & flag_failed) != 0;
    record.may_unmap = (flags & flag_may_unmap) != 0;
    record.by_value = (flags & flag_by_value) != 0;
    record.offset = in.u64();
    record.length = in.u64();
    record.digest = in.u64();
    const std::uint16_t segments = in.u16();
    if (segments > record_segments_max) in.fail();
    for (std::uint16_t i = 0; i < segments && in.ok(); ++i) {
        const GuestAddress address(in.u64());
        record.segments.push_back({address, in.u32()});
    }
    if (!in.ok() || !is_well_formed(record)) {
        in.fail();
    } else if (record.by_value) {
        record.payload = in.raw(record.length);
    }
    return record;
}

Result<void> check_record(const BlockRecord& record, std::span<const DiskLimits> disks,
                          const GuestMemory* memory) {
    const auto refuse = [&record](const char* why) {
        return make_error("block record {}: {}", record.sequence, why);
    };
    if (record.disk >= disks.size()) return refuse("it is for a disk that there is not");
    const DiskLimits& disk = disks[record.disk];
    const bool changes = record.op != BlockOp::read && record.op != BlockOp::flush;
    if (changes && disk.read_only) return refuse("it changes a disk that is read-only");
    if (!range_fits(record.offset, record.length, disk.capacity))
        return refuse("it reaches beyond its disk");
    if (record.offset % disk.block_size != 0 || record.length % disk.block_size != 0)
        return refuse("it is not aligned to the disk's blocks");
    if (record.op == BlockOp::write && !record.by_value && !record.failed &&
        record.segments.empty()) {
        return refuse("a write without its payload");
    }
    for (const Segment& segment : record.segments) {
        if (memory == nullptr || !memory->contains(segment.address, segment.length))
            return refuse("it refers to what is not guest memory");
    }
    return {};
}

}  // namespace fmvm::replay
