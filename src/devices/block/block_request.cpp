// SPDX-License-Identifier: Apache-2.0
#include "devices/block/block_request.h"

#include <algorithm>
#include <array>

#include "base/little_endian.h"

namespace fmvm {

namespace {

// 5.2.6
enum RequestType : std::uint32_t {
    type_in = 0,
    type_out = 1,
    type_flush = 4,
    type_get_id = 8,
    type_discard = 11,
    type_write_zeroes = 13,
};
constexpr std::uint64_t header_size = 16;
constexpr std::uint64_t range_size = 16;  // struct virtio_blk_discard_write_zeroes
constexpr std::uint32_t range_flag_unmap = 1;

using Body = decltype(BlockRequest::body);

Body refuse(VirtioBlkStatus status) {
    return RefusedRequest{status};
}

bool lies_on_disk(std::uint64_t offset, std::uint64_t length, const BlockLimits& limits) {
    return length != 0 && range_fits(offset, length, limits.capacity) &&
           is_aligned(offset, limits.block_size) && is_aligned(length, limits.block_size);
}

bool fits_disk(std::uint64_t sector, std::uint64_t length, const BlockLimits& limits) {
    return sector <= limits.capacity / sector_size &&
           lies_on_disk(sector * sector_size, length, limits);
}

Body parse_transfer(BlockOp op, std::uint64_t sector, Segments data, const BlockLimits& limits) {
    if (op == BlockOp::write && limits.read_only) return refuse(VirtioBlkStatus::io_error);
    const std::uint64_t length = total_length(data);
    if (!fits_disk(sector, length, limits) || length > limits.transfer_bytes_max ||
        data.size() > limits.segments_max) {
        return refuse(VirtioBlkStatus::io_error);
    }
    return DiskRequest{op, sector * sector_size, length, false, std::move(data)};
}

// Discard and write zeroes carry a list of ranges; we offer one range per request.
Body parse_range(BlockOp op, ChainReader& reader, const BlockLimits& limits) {
    std::array<std::uint8_t, range_size> range{};
    if (!reader.read(range)) return refuse(VirtioBlkStatus::io_error);
    if (reader.cursor().remaining() != 0) return refuse(VirtioBlkStatus::unsupported);
    if (limits.read_only) return refuse(VirtioBlkStatus::io_error);
    const auto sector = load_le<std::uint64_t>(range, 0);
    const std::uint64_t length = load_le<std::uint32_t>(range, 8) * sector_size;
    const auto flags = load_le<std::uint32_t>(range, 12);
    // 5.2.6.2: unknown flags, and unmap on a discard, are unsupported.
    const std::uint32_t known = op == BlockOp::write_zeroes ? range_flag_unmap : 0;
    if ((flags & ~known) != 0) return refuse(VirtioBlkStatus::unsupported);
    if (!fits_disk(sector, length, limits) || length > limits.discard_bytes_max) {
        return refuse(VirtioBlkStatus::io_error);
    }
    return DiskRequest{op, sector * sector_size, length, (flags & range_flag_unmap) != 0, {}};
}

Body parse_body(ChainReader& reader, const Segments& writable, const BlockLimits& limits) {
    std::array<std::uint8_t, header_size> header{};
    if (!reader.read(header)) return refuse(VirtioBlkStatus::io_error);
    const auto sector = load_le<std::uint64_t>(header, 8);
    switch (load_le<std::uint32_t>(header, 0)) {
        case type_in:
            return parse_transfer(BlockOp::read, sector, writable, limits);
        case type_out: {
            Segments data;
            if (!reader.cursor().take(reader.cursor().remaining(), data)) {
                return refuse(VirtioBlkStatus::io_error);
            }
            return parse_transfer(BlockOp::write, sector, std::move(data), limits);
        }
        case type_flush:
            return DiskRequest{BlockOp::flush, 0, 0, false, {}};
        case type_get_id:
            return IdentifyRequest{writable};
        case type_discard:
            return parse_range(BlockOp::discard, reader, limits);
        case type_write_zeroes:
            return parse_range(BlockOp::write_zeroes, reader, limits);
        default:
            return refuse(VirtioBlkStatus::unsupported);
    }
}

}  // namespace

bool is_possible(const DiskRequest& request, const GuestMemory& memory, const BlockLimits& limits) {
    const auto in_memory = [&](const Segment& segment) {
        return memory.contains(segment.address, segment.length);
    };
    if (request.op != BlockOp::read && request.op != BlockOp::flush && limits.read_only)
        return false;
    if (request.may_unmap && request.op != BlockOp::write_zeroes) return false;
    switch (request.op) {
        case BlockOp::flush:
            return request.offset == 0 && request.length == 0 && request.data.empty();
        case BlockOp::read:
        case BlockOp::write:
            return lies_on_disk(request.offset, request.length, limits) &&
                   request.length <= limits.transfer_bytes_max &&
                   request.data.size() <= limits.segments_max &&
                   std::ranges::all_of(request.data, in_memory) &&
                   total_length(request.data) == request.length;
        case BlockOp::discard:
        case BlockOp::write_zeroes:
            return lies_on_disk(request.offset, request.length, limits) &&
                   request.length <= limits.discard_bytes_max && request.data.empty();
    }
    return false;
}

bool parse_block_request(const GuestMemory& memory, const DescriptorChain& chain,
                         const BlockLimits& limits, BlockRequest& request) {
    if (chain.writable.empty()) return false;
    // The status is the last writable byte, wherever the driver cut the buffers (2.7.4.3).
    Segments data = chain.writable;
    Segment& last = data.back();
    request.status_address = last.address + (last.length - 1);
    if (--last.length == 0) data.pop_back();
    ChainReader reader(memory, chain.readable);
    request.body = parse_body(reader, data, limits);
    return true;
}

}  // namespace fmvm
