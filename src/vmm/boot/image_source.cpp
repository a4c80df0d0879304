// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/image_source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/file_io.h"

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
    // O_NONBLOCK: a FIFO given by mistake must be refused, not waited for.
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        const int cause = errno;
        return make_error("{}: cannot be opened: {}; check --{}", name, std::strerror(cause), role);
    }
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return errno_error(errno, name);
    if (S_ISDIR(status.st_mode)) {
        return make_error("{}: is a directory; give --{} the path of a file", name, role);
    }
    if (!S_ISREG(status.st_mode)) {
        return make_error("{}: is not a regular file; give --{} the path of one", name, role);
    }
    if (status.st_size == 0) {
        return make_error("{}: is empty; give --{} a complete file", name, role);
    }
    return FileSource(name, static_cast<std::uint64_t>(status.st_size), std::move(fd));
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
