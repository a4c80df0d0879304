// SPDX-License-Identifier: Apache-2.0
// What a backup remembers between its lives: which VM it is for, and the newest generation it has
// met. One process at a time.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "lockstep/arbiter/generation.h"

namespace fmvm::node {

class StateDirectory {
  public:
    // Makes the directory if need be, locks it and reads what it holds. It must be a directory
    // that nobody else may write to (base/ownership.h), and no link to one.
    static Result<StateDirectory> open(std::string path);

    // Refuses another VM than the one this directory is for, and a generation that was overtaken.
    Result<void> check(const lockstep::VmId& vm, lockstep::Generation generation) const;
    // Durable when it returns.
    Result<void> record(const lockstep::VmId& vm, lockstep::Generation generation);

  private:
    struct Known {
        lockstep::VmId vm{};
        lockstep::Generation generation = 0;
    };
    StateDirectory(std::string path, UniqueFd lock)
        : path_(std::move(path)), lock_(std::move(lock)) {}
    Result<void> read();

    std::string path_;
    UniqueFd lock_;
    std::optional<Known> known_;
};

}  // namespace fmvm::node
