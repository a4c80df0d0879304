// SPDX-License-Identifier: Apache-2.0
// The virtio-blk request format (virtio 1.2, 5.2.6): from a descriptor chain to a value that the
// device can carry out. Pure: no disk, no queue.
#pragma once

#include <cstdint>
#include <variant>

#include "devices/block/block_backend.h"
#include "devices/virtio/descriptor_chain.h"

namespace fmvm {

// 5.2.6: the status byte.
enum class VirtioBlkStatus : std::uint8_t { ok = 0, io_error = 1, unsupported = 2 };

inline constexpr std::uint32_t block_id_size = 20;  // VIRTIO_BLK_T_GET_ID

struct BlockLimits {
    std::uint64_t capacity = 0;  // bytes
    std::uint32_t block_size = 512;
    bool read_only = false;
    std::uint32_t segments_max = 0;
    std::uint64_t transfer_bytes_max = 0;
    std::uint64_t discard_bytes_max = 0;  // also for write zeroes
};

// A request that has to be carried out on the disk.
struct DiskRequest {
    BlockOp op = BlockOp::read;
    std::uint64_t offset = 0;  // bytes
    std::uint64_t length = 0;  // bytes
    bool may_unmap = false;
    Segments data;  // where in guest RAM the data is or goes
};
// The guest asks for the serial number; `data` is where it goes.
struct IdentifyRequest {
    Segments data;
};
// Answered at once with this status.
struct RefusedRequest {
    VirtioBlkStatus status;
};

struct BlockRequest {
    GuestAddress status_address;
    std::variant<RefusedRequest, DiskRequest, IdentifyRequest> body;
};

// Whether a driver can have asked for this: `request` came from elsewhere than a chain.
bool is_possible(const DiskRequest& request, const GuestMemory& memory, const BlockLimits& limits);

// False when the chain has no place for a status byte, so that not even an error can be reported.
bool parse_block_request(const GuestMemory& memory, const DescriptorChain& chain,
                         const BlockLimits& limits, BlockRequest& request);

}  // namespace fmvm
