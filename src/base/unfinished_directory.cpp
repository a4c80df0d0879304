// SPDX-License-Identifier: Apache-2.0
#include "base/unfinished_directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file_io.h"
#include "base/ownership.h"

namespace fmvm {

Result<UnfinishedDirectory> UnfinishedDirectory::make(const std::string& target) {
    std::error_code ignored;
    if (std::filesystem::exists(std::filesystem::symlink_status(target, ignored)))
        return Error("it exists already; give a new directory, or remove it");
    std::string path = fmt::format("{}.unfinished-{}", target, ::getpid());
    if (::mkdir(path.c_str(), 0700) != 0)
        return errno_error(errno, fmt::format("{} cannot be made", path));
    UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return errno_error(errno, fmt::format("{} cannot be opened", path));
    UnfinishedDirectory made(target, std::move(path), std::move(directory));
    FMVM_TRY(about(made.path_, check_directory(made.directory_.get())));
    return made;
}

UnfinishedDirectory::~UnfinishedDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Result<int> UnfinishedDirectory::create_file(const std::string& name) {
    UniqueFd fd(
        ::openat(directory_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) return errno_error(errno, fmt::format("{}/{} cannot be created", path_, name));
    files_.push_back(std::move(fd));
    return files_.back().get();
}

Result<void> UnfinishedDirectory::rename_into_place() {
    FMVM_CHECK(!path_.empty());
    for (const UniqueFd& file : files_) {
        if (::fsync(file.get()) != 0) return errno_error(errno, "it cannot be written to the disk");
    }
    files_.clear();
    if (::fsync(directory_.get()) != 0)
        return errno_error(errno, fmt::format("{} cannot be made durable", path_));
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), RENAME_NOREPLACE) != 0)
        return errno_error(errno, "it cannot be renamed into place");
    path_.clear();
    return {};
}

Result<void> UnfinishedDirectory::make_name_durable() const {
    const std::string parent = directory_of(target_);
    const int failure = sync_directory(parent);
    if (failure != 0) return errno_error(failure, fmt::format("{} cannot be made durable", parent));
    return {};
}

}  // namespace fmvm
