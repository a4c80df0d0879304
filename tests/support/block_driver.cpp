// SPDX-License-Identifier: Apache-2.0
#include "support/block_driver.h"

namespace fmvm::test {

namespace {

struct Header {
    std::uint32_t type;
    std::uint32_t reserved;
    std::uint64_t sector;
};
struct RangeEntry {
    std::uint64_t sector;
    std::uint32_t sectors;
    std::uint32_t flags;
};

}  // namespace

BlockDriver::Request BlockDriver::raw(std::uint32_t type, std::uint64_t sector,
                                      const std::vector<Buffer>& readable,
                                      const std::vector<Buffer>& writable) {
    GuestRam& ram = queue_.ram();
    const GuestAddress header = ram.take(sizeof(Header));
    ram.poke(header, Header{type, 0, sector});
    Request request;
    request.status = ram.take(1);
    ram.poke(request.status, blk_untouched);
    ChainBuilder chain = queue_.chain();
    chain.readable_at(header, sizeof(Header));
    for (const Buffer& buffer : readable)
        chain.readable_at(buffer.address, buffer.length);
    for (const Buffer& buffer : writable)
        chain.writable_at(buffer.address, buffer.length);
    chain.writable_at(request.status, 1);
    if (indirect_) chain.indirect();
    request.head = chain.submit();
    return request;
}

BlockDriver::Request BlockDriver::read_to(std::uint64_t sector, GuestAddress data,
                                          std::uint32_t length) {
    Request request = raw(blk_in, sector, {}, {{data, length}});
    request.data = data;
    request.length = length;
    return request;
}

BlockDriver::Request BlockDriver::read(std::uint64_t sector, std::uint32_t length) {
    return read_to(sector, queue_.ram().take(length), length);
}

BlockDriver::Request BlockDriver::write_from(std::uint64_t sector, GuestAddress data,
                                             std::uint32_t length) {
    Request request = raw(blk_out, sector, {{data, length}}, {});
    request.data = data;
    request.length = length;
    return request;
}

BlockDriver::Request BlockDriver::write(std::uint64_t sector, std::span<const std::uint8_t> bytes) {
    const GuestAddress data = queue_.ram().take(bytes.size());
    queue_.ram().poke_bytes(data, bytes);
    return write_from(sector, data, static_cast<std::uint32_t>(bytes.size()));
}

BlockDriver::Request BlockDriver::get_id(std::uint32_t length) {
    const GuestAddress data = queue_.ram().take(length);
    Request request = raw(blk_get_id, 0, {}, {{data, length}});
    request.data = data;
    request.length = length;
    return request;
}

BlockDriver::Request BlockDriver::range(std::uint32_t type, std::uint64_t sector,
                                        std::uint32_t sectors, std::uint32_t flags) {
    const GuestAddress entry = queue_.ram().take(sizeof(RangeEntry));
    queue_.ram().poke(entry, RangeEntry{sector, sectors, flags});
    return raw(type, sector, {{entry, sizeof(RangeEntry)}}, {});
}

}  // namespace fmvm::test
