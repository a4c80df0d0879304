// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/ram_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/byte_codec.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/file_io.h"

namespace fmvm {

namespace {

constexpr std::size_t chunk_bytes = 1 * mib;

using Bytes = std::span<const std::uint8_t>;

// Each page that holds something, behind its index.
void add_page(Digest& digest, std::uint64_t index, Bytes page) {
    ByteWriter out;
    out.u64(index);
    digest.add(out.bytes());
    digest.add(page);
}

Result<void> write_at(int fd, Bytes bytes, std::uint64_t offset) {
    const int failure = write_all_at(fd, std::as_bytes(bytes), offset);
    if (failure != 0) return errno_error(failure, "cannot write guest memory");
    return {};
}

Result<void> read_at(int fd, std::span<std::uint8_t> bytes, std::uint64_t offset) {
    std::size_t count = 0;
    const int failure = read_up_to_at(fd, std::as_writable_bytes(bytes), offset, count);
    if (failure != 0) return errno_error(failure, "cannot read guest memory");
    if (count < bytes.size())
        return Error("the file of guest memory became shorter while it was read");
    return {};
}

// Writes the pages of a chunk that hold something, neighbours together.
Result<void> write_chunk(int fd, Bytes chunk, std::uint64_t offset, Digest& digest) {
    std::size_t at = 0;
    while (at < chunk.size()) {
        std::size_t end = at;
        while (end < chunk.size() && !is_zero(chunk.subspan(end, page_size))) {
            add_page(digest, (offset + end) / page_size, chunk.subspan(end, page_size));
            end += page_size;
        }
        if (end != at) FMVM_TRY(write_at(fd, chunk.subspan(at, end - at), offset + at));
        at = end + page_size;
    }
    return {};
}

void take_pages(const MemoryRegion& region, Bytes chunk, std::uint64_t offset, Digest& digest) {
    for (std::size_t at = 0; at < chunk.size(); at += page_size) {
        const Bytes page = chunk.subspan(at, page_size);
        if (is_zero(page)) continue;  // it stays untouched, and costs no memory
        const std::uint64_t index = (offset + at) / page_size;
        add_page(digest, index, page);
        copy_bytes(page, region.host + (index - region.first_page) * page_size);
    }
}

// Where the next data begins, at page granularity; `limit`: nowhere before it.
std::uint64_t next_data(int fd, std::uint64_t offset, std::uint64_t limit) {
    const off_t found = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
    // ENXIO: none. Anything else: a file system that does not know holes; all is data.
    if (found < 0) return errno == ENXIO ? limit : offset;
    return std::min(static_cast<std::uint64_t>(found) / page_size * page_size, limit);
}

}  // namespace

Result<std::uint64_t> write_ram_file(const GuestMemory& memory, int fd) {
    Digest digest;
    // Out of the guest's memory first: what is hashed must be what is written.
    std::vector<std::uint8_t> copy(chunk_bytes);
    for (const MemoryRegion& region : memory.regions()) {
        for (std::uint64_t at = 0; at < region.size; at += chunk_bytes) {
            const auto size =
                static_cast<std::size_t>(std::min<std::uint64_t>(chunk_bytes, region.size - at));
            std::copy_n(region.host + at, size, copy.begin());
            FMVM_TRY(write_chunk(fd, Bytes(copy).first(size), region.first_page * page_size + at,
                                 digest));
        }
    }
    if (::ftruncate(fd, static_cast<off_t>(memory.total_bytes())) != 0)
        return errno_error(errno, "cannot set the size of the file of guest memory");
    return digest.value();
}

Result<void> read_ram_file(GuestMemory& memory, int fd, std::uint64_t expected_digest) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return errno_error(errno, "cannot read guest memory");
    if (!S_ISREG(status.st_mode) ||
        static_cast<std::uint64_t>(status.st_size) != memory.total_bytes()) {
        return make_error("the file of guest memory has {} bytes instead of {}", status.st_size,
                          memory.total_bytes());
    }
    Digest digest;
    std::vector<std::uint8_t> copy(chunk_bytes);
    for (const MemoryRegion& region : memory.regions()) {
        std::uint64_t at = region.first_page * page_size;
        const std::uint64_t end = at + region.size;
        while ((at = next_data(fd, at, end)) < end) {
            const auto size =
                static_cast<std::size_t>(std::min<std::uint64_t>(chunk_bytes, end - at));
            FMVM_TRY(read_at(fd, std::span(copy).first(size), at));
            take_pages(region, Bytes(copy).first(size), at, digest);
            at += size;
        }
    }
    if (digest.value() != expected_digest)
        return Error("guest memory is damaged: its checksum does not fit its content");
    return {};
}

}  // namespace fmvm
