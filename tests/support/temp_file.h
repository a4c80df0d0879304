// SPDX-License-Identifier: Apache-2.0
// Files that go away with the test, and file systems that can do less than usual ones.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/unique_fd.h"

namespace fmvm::test {

class TempFile {
  public:
    explicit TempFile(std::uint64_t size = 0) {
        const char* directory = std::getenv("TMPDIR");
        path_ = std::string(directory != nullptr ? directory : "/tmp") + "/fmvm-test-XXXXXX";
        fd_ = UniqueFd(::mkstemp(path_.data()));
        FMVM_CHECK(fd_ && ::ftruncate(fd_.get(), static_cast<off_t>(size)) == 0);
    }
    ~TempFile() { ::unlink(path_.c_str()); }
    TempFile(const TempFile&) = delete;
    TempFile& operator=(const TempFile&) = delete;

    const std::string& path() const { return path_; }
    void resize(std::uint64_t size) {
        FMVM_CHECK(::ftruncate(fd_.get(), static_cast<off_t>(size)) == 0);
    }
    void write(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
        FMVM_CHECK(::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)) ==
                   static_cast<ssize_t>(bytes.size()));
    }
    std::vector<std::uint8_t> read_all() const {
        struct stat info {};
        FMVM_CHECK(::fstat(fd_.get(), &info) == 0);
        std::vector<std::uint8_t> bytes(static_cast<std::size_t>(info.st_size));
        FMVM_CHECK(::pread(fd_.get(), bytes.data(), bytes.size(), 0) ==
                   static_cast<ssize_t>(bytes.size()));
        return bytes;
    }

  private:
    std::string path_;
    UniqueFd fd_;
};

// A file on a file system of its own that nobody else sees ("ramfs": can neither punch holes nor
// do I/O without waiting; "tmpfs" with a size: runs full). None without the privilege to mount.
std::optional<UniqueFd> file_on(const char* file_system, const char* option, const char* value);

}  // namespace fmvm::test
