// SPDX-License-Identifier: Apache-2.0
#include "base/durable_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "base/file_io.h"
#include "base/random.h"
#include "base/work_steps.h"

namespace fmvm {

namespace {

std::string draft_name(const std::string& path, DurableFile::Draft draft) {
    if (draft == DurableFile::Draft::fixed) return path + ".new";
    return fmt::format("{}.draft-{:016x}", path, random_value<std::uint64_t>());
}

// In its directory.
std::string name_of(const std::string& path) {
    return std::filesystem::path(path).filename().string();
}

}  // namespace

Result<DurableFile> DurableFile::create(const std::string& path, Draft draft, mode_t mode,
                                        Describe describe) {
    UniqueFd directory(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return describe(errno, draft_name(path, draft), "cannot be created");
    return make(std::move(directory), path, draft, mode, describe);
}

Result<DurableFile> DurableFile::create_in(int directory, const std::string& path, Draft draft,
                                           mode_t mode, Describe describe) {
    UniqueFd own(::fcntl(directory, F_DUPFD_CLOEXEC, 0));
    if (!own) return describe(errno, draft_name(path, draft), "cannot be created");
    return make(std::move(own), path, draft, mode, describe);
}

Result<DurableFile> DurableFile::make(UniqueFd directory, const std::string& path, Draft draft,
                                      mode_t mode, Describe describe) {
    const std::string drafted = draft_name(path, draft);
    const std::string name = name_of(drafted);
    if (draft == Draft::fixed) ::unlinkat(directory.get(), name.c_str(), 0);
    UniqueFd fd(
        ::openat(directory.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (!fd) return describe(errno, drafted, "cannot be created");
    return DurableFile(std::move(directory), path, drafted, std::move(fd), describe);
}

DurableFile::DurableFile(DurableFile&& other) noexcept
    : directory_(std::move(other.directory_)),
      path_(std::move(other.path_)),
      draft_(std::exchange(other.draft_, {})),
      fd_(std::move(other.fd_)),
      describe_(other.describe_) {}

DurableFile::~DurableFile() {
    remove_draft();
}

void DurableFile::remove_draft() {
    if (draft_.empty()) return;
    ::unlinkat(directory_.get(), name_of(std::exchange(draft_, {})).c_str(), 0);
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
    work_step();
    return {};
}

Result<void> DurableFile::sync_parent() const {
    if (::fsync(directory_.get()) == 0) return {};
    return describe_(errno, path_, "cannot be made durable");
}

Result<void> DurableFile::replace() {
    FMVM_TRY(sync());
    const int directory = directory_.get();
    if (::renameat(directory, name_of(draft_).c_str(), directory, name_of(path_).c_str()) != 0)
        return describe_(errno, path_, "cannot be replaced");
    draft_.clear();
    return sync_parent();
}

Result<bool> DurableFile::place_if_absent() {
    FMVM_TRY(sync());
    const int directory = directory_.get();
    const int linked =
        ::linkat(directory, name_of(draft_).c_str(), directory, name_of(path_).c_str(), 0);
    const int failure = linked == 0 ? 0 : errno;
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
