// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/scratch_buffer.h"

#include <sys/mman.h>

#include "base/units.h"

namespace fmvm::boot {

Result<ScratchBuffer> ScratchBuffer::reserve(std::size_t size) {
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        const int cause = errno;
        return make_error("cannot reserve {} MiB to unpack the kernel: {}", size / mib,
                          std::strerror(cause));
    }
    // Advice only, but it makes unpacking a Debian kernel three times as fast.
    ::madvise(data, size, MADV_HUGEPAGE);
    return ScratchBuffer(static_cast<std::uint8_t*>(data), size);
}

ScratchBuffer::~ScratchBuffer() {
    if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace fmvm::boot
