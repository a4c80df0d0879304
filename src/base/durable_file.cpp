// SPDX-License-Identifier: Apache-2.0
#include "base/durable_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "base/file_io.h"
#include "base/random.h"

namespace fmvm {

namespace {

std::string draft_name(const std::string& path, DurableFile::Draft draft) {
    if (draft == DurableFile::Draft::fixed) return path + ".new";
    return fmt::format("{}.draft-{:016x}", path, random_value<std::uint64_t>());
}

}  // namespace

Result<DurableFile> DurableFile::create(const std::string& path, Draft draft, mode_t mode,
                                        Describe describe) {
    const std::string name = draft_name(path, draft);
    const int old = draft == Draft::fixed ? O_TRUNC : O_EXCL;
    UniqueFd fd(::open(name.c_str(), O_RDWR | O_CREAT | old | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!fd) return describe(errno, name, "cannot be created");
    return DurableFile(path, name, std::move(fd), describe);
}

DurableFile::DurableFile(DurableFile&& other) noexcept
    : path_(std::move(other.path_)),
      draft_(std::exchange(other.draft_, {})),
      fd_(std::move(other.fd_)),
      describe_(other.describe_) {}

DurableFile::~DurableFile() {
    remove_draft();
}

void DurableFile::remove_draft() {
    if (!draft_.empty()) ::unlink(std::exchange(draft_, {}).c_str());
}

Result<void> DurableFile::write(std::span<const std::uint8_t> bytes) {
    FMVM_CHECK(fd_ && !draft_.empty());
    if (const int failure = write_all(fd_.get(), std::as_bytes(bytes)); failure != 0)
        return describe_(failure, draft_, "cannot be written");
    return {};
}

Result<void> DurableFile::sync() {
    FMVM_CHECK(!draft_.empty());
    if (fd_ && ::fsync(fd_.get()) != 0) return describe_(errno, draft_, "cannot be made durable");
    return {};
}

Result<void> DurableFile::sync_parent() const {
    const std::string parent = std::filesystem::path(path_).parent_path().string();
    if (const int failure = sync_directory(parent.empty() ? "." : parent); failure != 0)
        return describe_(failure, path_, "cannot be made durable");
    return {};
}

Result<void> DurableFile::replace() {
    FMVM_TRY(sync());
    if (::rename(draft_.c_str(), path_.c_str()) != 0)
        return describe_(errno, path_, "cannot be replaced");
    draft_.clear();
    return sync_parent();
}

Result<bool> DurableFile::place_if_absent() {
    FMVM_TRY(sync());
    const int failure = ::link(draft_.c_str(), path_.c_str()) == 0 ? 0 : errno;
    if (failure == EPERM || failure == EOPNOTSUPP) return describe_(failure, path_, no_hard_links);
    if (failure != 0 && failure != EEXIST) return describe_(failure, path_, "cannot be created");
    remove_draft();
    // Also when a file was there: whoever made it may not have come this far.
    FMVM_TRY(sync_parent());
    return failure == 0;
}

Result<void> make_durable(const std::string& path) {
    if (const int failure = sync_file(path); failure != 0)
        return errno_error(failure, fmt::format("{} cannot be written to the disk", path));
    return {};
}

}  // namespace fmvm
