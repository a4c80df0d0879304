// SPDX-License-Identifier: Apache-2.0
#include "base/file_io.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/unique_fd.h"

namespace fmvm {

namespace {

// step(at, left): one read or write of some of the `left` bytes that follow the first `at`; as
// read(2) and write(2) it answers with how many those were. 0 or an errno; `count`: how far it
// came.
template <typename Step>
int repeat(std::size_t size, std::size_t& count, Step step) {
    count = 0;
    while (count < size) {
        const ssize_t done = step(count, size - count);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return errno;
        if (done == 0) break;
        count += static_cast<std::size_t>(done);
    }
    return 0;
}

// A write that gets nowhere, and does not say why.
int whole(int failure, std::size_t count, std::size_t size) {
    return failure == 0 && count < size ? EIO : failure;
}

off_t file_position(std::uint64_t offset, std::size_t at) {
    return static_cast<off_t>(offset + at);
}

int sync_opened(const std::string& path, int flags) {
    const UniqueFd fd(::open(path.c_str(), flags));
    return fd && ::fsync(fd.get()) == 0 ? 0 : errno;
}

}  // namespace

int write_all(int fd, std::span<const std::byte> bytes) {
    std::size_t count = 0;
    const int failure = repeat(bytes.size(), count, [&](std::size_t at, std::size_t left) {
        return ::write(fd, bytes.data() + at, left);
    });
    return whole(failure, count, bytes.size());
}

int read_up_to(int fd, std::span<std::byte> space, std::size_t& count) {
    return repeat(space.size(), count, [&](std::size_t at, std::size_t left) {
        return ::read(fd, space.data() + at, left);
    });
}

int write_all_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
    std::size_t count = 0;
    const int failure = repeat(bytes.size(), count, [&](std::size_t at, std::size_t left) {
        return ::pwrite(fd, bytes.data() + at, left, file_position(offset, at));
    });
    return whole(failure, count, bytes.size());
}

int read_up_to_at(int fd, std::span<std::byte> space, std::uint64_t offset, std::size_t& count) {
    return repeat(space.size(), count, [&](std::size_t at, std::size_t left) {
        return ::pread(fd, space.data() + at, left, file_position(offset, at));
    });
}

int sync_file(const std::string& path) {
    return sync_opened(path, O_RDONLY | O_CLOEXEC);
}

std::string directory_of(const std::string& path) {
    const std::string parent = std::filesystem::path(path).parent_path().string();
    return parent.empty() ? "." : parent;
}

int sync_directory(const std::string& path) {
    return sync_opened(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

}  // namespace fmvm
