// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/image_source.h"

#include <algorithm>

#include "base/file_io.h"
#include "base/open_file.h"

namespace fmvm::boot {

Result<void> ImageSource::read(std::uint64_t offset, std::span<std::uint8_t> out) const {
    if (!range_fits(offset, out.size(), size_)) {
        return error("is truncated: {} bytes at offset {} are needed, it has {}; copy it again",
                     out.size(), offset, size_);
    }
    return fetch(offset, out);
}

Result<void> ImageSource::read_to_guest(std::uint64_t offset, std::uint64_t length,
                                        GuestMemory& memory, GuestAddress address) const {
    if (length == 0) return {};
    std::uint8_t* host = memory.host_range(address, length);
    FMVM_CHECK(host != nullptr);
    FMVM_TRY(read(offset, {host, length}));
    memory.mark_dirty(address, length);
    return {};
}

Result<FileSource> FileSource::open(std::string_view role, const std::string& path) {
    const std::string name = fmt::format("{} {}", role, path);
    Result<RegularFile> file = open_regular_file(path);
    if (!file.ok()) return make_error("{}: {}; check --{}", name, file.error().message(), role);
    if (file->size == 0) return make_error("{}: is empty; give --{} a complete file", name, role);
    return FileSource(name, file->size, std::move(file->fd));
}

Result<void> FileSource::fetch(std::uint64_t offset, std::span<std::uint8_t> out) const {
    std::size_t count = 0;
    const int cause = read_up_to_at(fd_.get(), std::as_writable_bytes(out), offset, count);
    if (cause != 0) return error("cannot be read: {}", std::strerror(cause));
    if (count < out.size()) return error("became shorter while it was read; start again");
    return {};
}

Result<void> BytesSource::fetch(std::uint64_t offset, std::span<std::uint8_t> out) const {
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
}

}  // namespace fmvm::boot
