// SPDX-License-Identifier: Apache-2.0
// A driver's view of virtio-blk (virtio 1.2, 5.2.6) over a FakeQueue: one function per request,
// well-formed; odd ones are made with raw() or the queue itself.
#pragma once

#include "support/fake_driver.h"

namespace fmvm::test {

inline constexpr std::uint64_t blk_f_read_only = 1ULL << 5;
inline constexpr std::uint64_t blk_f_discard = 1ULL << 13;

enum BlkType : std::uint32_t {
    blk_in = 0,
    blk_out = 1,
    blk_flush = 4,
    blk_get_id = 8,
    blk_discard = 11,
    blk_write_zeroes = 13,
};

inline constexpr std::uint8_t blk_ok = 0;
inline constexpr std::uint8_t blk_io_error = 1;
inline constexpr std::uint8_t blk_unsupported = 2;
inline constexpr std::uint8_t blk_untouched = 0xee;  // what the driver leaves there

class BlockDriver {
  public:
    struct Request {
        std::uint16_t head = 0;
        GuestAddress data;
        std::uint32_t length = 0;
        GuestAddress status;
    };

    explicit BlockDriver(FakeQueue& queue) : queue_(queue) {}
    // Requests whose three buffers sit in one indirect table, so that each takes one descriptor.
    void use_indirect(bool value) { indirect_ = value; }

    Request read(std::uint64_t sector, std::uint32_t length);
    Request read_to(std::uint64_t sector, GuestAddress data, std::uint32_t length);
    Request write(std::uint64_t sector, std::span<const std::uint8_t> bytes);
    Request write_from(std::uint64_t sector, GuestAddress data, std::uint32_t length);
    Request flush() { return raw(blk_flush, 0, {}, {}); }
    Request get_id(std::uint32_t length);
    Request discard(std::uint64_t sector, std::uint32_t sectors, std::uint32_t flags = 0) {
        return range(blk_discard, sector, sectors, flags);
    }
    Request write_zeroes(std::uint64_t sector, std::uint32_t sectors, std::uint32_t flags = 0) {
        return range(blk_write_zeroes, sector, sectors, flags);
    }

    struct Buffer {
        GuestAddress address;
        std::uint32_t length = 0;
    };
    Request raw(std::uint32_t type, std::uint64_t sector, const std::vector<Buffer>& readable,
                const std::vector<Buffer>& writable);

    std::uint8_t status(const Request& request) const {
        return queue_.ram().peek<std::uint8_t>(request.status);
    }
    Bytes data(const Request& request) const {
        return queue_.ram().peek_bytes(request.data, request.length);
    }

  private:
    Request range(std::uint32_t type, std::uint64_t sector, std::uint32_t sectors,
                  std::uint32_t flags);

    FakeQueue& queue_;
    bool indirect_ = false;
};

}  // namespace fmvm::test
