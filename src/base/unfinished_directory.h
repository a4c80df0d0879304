// SPDX-License-Identifier: Apache-2.0
// A directory that gets its name only when all of it is there, and goes away otherwise.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace fmvm {

class UnfinishedDirectory {
  public:
    // Beside `target`, which must not exist; for its owner only. Errors name no target: "it exists
    // already ...".
    static Result<UnfinishedDirectory> make(const std::string& target);
    UnfinishedDirectory(UnfinishedDirectory&& other) noexcept
        : target_(std::move(other.target_)), path_(std::exchange(other.path_, {})) {}
    UnfinishedDirectory& operator=(UnfinishedDirectory&&) = delete;
    ~UnfinishedDirectory();

    const std::string& path() const { return path_; }
    // Its names become durable, and it has its name. (The files in it were synchronised before.)
    Result<void> rename_into_place();
    // That name becomes durable.
    Result<void> make_name_durable() const;

  private:
    UnfinishedDirectory(std::string target, std::string path)
        : target_(std::move(target)), path_(std::move(path)) {}

    std::string target_;
    std::string path_;  // empty: it is in place
};

}  // namespace fmvm
