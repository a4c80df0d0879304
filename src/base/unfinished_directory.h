// SPDX-License-Identifier: Apache-2.0
// A directory that has its name only once all of it is on stable storage, and goes away otherwise
// (durable_file.h does the same for a file).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace fmvm {

class UnfinishedDirectory {
  public:
    // Made beside `target`, which must not exist, and open to its owner only. It is held open, so
    // that files go into it and nowhere else. Errors do not name the target: "it exists already
    // ...".
    static Result<UnfinishedDirectory> make(const std::string& target);
    UnfinishedDirectory(UnfinishedDirectory&& other) noexcept
        : target_(std::move(other.target_)),
          path_(std::exchange(other.path_, {})),
          directory_(std::move(other.directory_)),
          files_(std::move(other.files_)) {}
    UnfinishedDirectory& operator=(UnfinishedDirectory&&) = delete;
    ~UnfinishedDirectory();

    const std::string& path() const { return path_; }
    // A new file in it, which may be written until rename_into_place(). The descriptor stays this
    // directory's.
    Result<int> create_file(const std::string& name);
    // Makes the directory and the files of create_file() durable, and gives it its name. Whoever
    // makes other files in it synchronises them before.
    Result<void> rename_into_place();
    // Makes that name durable.
    Result<void> make_name_durable() const;

  private:
    UnfinishedDirectory(std::string target, std::string path, UniqueFd directory)
        : target_(std::move(target)), path_(std::move(path)), directory_(std::move(directory)) {}

    std::string target_;
    std::string path_;  // empty when it is in place
    UniqueFd directory_;
    std::vector<UniqueFd> files_;
};

}  // namespace fmvm
