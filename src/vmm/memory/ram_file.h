// SPDX-License-Identifier: Apache-2.0
// Guest RAM in a file: page i of the guest (regions in order, as the dirty marks count them) at
// offset i * page_size; pages of zeroes are holes.
//
// The digest is XXH3-64 over the other pages, each behind its index (64 bits, little-endian), in
// order, so that empty memory costs nothing and a sparse file may become a full one on its way.
//
// Controlling thread, while the machine stands. Reads of a disk that are in flight may still write
// to RAM: the state image lists them, and they are done again.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm {

// Into a new, empty file. Returns the digest.
Result<std::uint64_t> write_ram_file(const GuestMemory& memory, int fd);

// Into memory that holds zeroes only. The file must have exactly the size of the memory; a digest
// that does not fit its content is an error.
Result<void> read_ram_file(GuestMemory& memory, int fd, std::uint64_t expected_digest);

}  // namespace fmvm
