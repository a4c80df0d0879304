// SPDX-License-Identifier: Apache-2.0
#include "base/open_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "base/ownership.h"

namespace fmvm {

namespace {

// O_NONBLOCK keeps a FIFO from hanging us, and a terminal; it means nothing to files.
constexpr int at_once = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

std::string_view kind_of(mode_t mode) {
    if (S_ISDIR(mode)) return "a directory";
    if (S_ISFIFO(mode)) return "a FIFO";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

Result<RegularFile> examine(UniqueFd fd) {
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return errno_error(errno, "cannot be examined");
    if (!S_ISREG(info.st_mode)) return make_error("is {}, not a file", kind_of(info.st_mode));
    return RegularFile{std::move(fd), static_cast<std::uint64_t>(info.st_size)};
}

Error open_error(int error_number) {
    if (error_number == ENXIO) return Error("is a socket, or a device that is not there");
    return errno_error(error_number, "cannot be opened");
}

Error write_error(int error_number) {
    if (error_number == EEXIST) return Error("exists already");
    if (error_number == ENXIO) return Error("is a FIFO that nobody reads, or a socket");
    return errno_error(error_number, "cannot be opened for writing");
}

Result<void> check_ours(int fd, const struct stat& info, bool behind_link) {
    if (behind_link) return Error("is a symbolic link to a file; name that file itself");
    FMVM_TRY(check_owner(fd));
    if (info.st_nlink > 1)
        return Error("has a second name (a hard link), whose content would change with it");
    return {};
}

}  // namespace

Result<RegularFile> open_regular_file(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | at_once));
    if (!fd) return open_error(errno);
    return examine(std::move(fd));
}

Result<std::optional<RegularFile>> find_regular_file(int directory, const std::string& name) {
    UniqueFd fd(::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | at_once));
    if (!fd && errno == ENOENT) return std::optional<RegularFile>();
    if (!fd && errno == ELOOP) return Error("is a symbolic link, not a file");
    if (!fd) return open_error(errno);
    return std::optional(FMVM_TRY(examine(std::move(fd))));
}

Result<UniqueFd> open_private_file(const std::string& path, int flags) {
    UniqueFd fd(::open(path.c_str(), flags | O_CREAT | O_NOFOLLOW | at_once, 0600));
    const bool behind_link = !fd && errno == ELOOP;
    if (behind_link) fd = UniqueFd(::open(path.c_str(), flags | at_once));
    if (!fd) return write_error(errno);
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return errno_error(errno, "cannot be examined");
    if (S_ISBLK(info.st_mode)) return Error("is a disk, whose content would be lost");
    if (S_ISREG(info.st_mode)) FMVM_TRY(check_ours(fd.get(), info, behind_link));
    return fd;
}

}  // namespace fmvm
