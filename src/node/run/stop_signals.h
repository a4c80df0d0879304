// SPDX-License-Identifier: Apache-2.0
// The signals by which an operator ends what a command does in an orderly way.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace fmvm::node {

// SIGTERM, SIGINT and SIGHUP; the last two not if they were ignored when fmvm was started (nohup).
std::vector<int> stop_signals();

// From then on they end nothing by themselves, but make a descriptor readable.
class StopSignals {
  public:
    static Result<StopSignals> take();
    StopSignals(StopSignals&&) noexcept = default;

    int fd() const { return fd_.get(); }
    // Whether one of them came.
    bool came() const;

  private:
    explicit StopSignals(UniqueFd fd) : fd_(std::move(fd)) {}

    UniqueFd fd_;
};

}  // namespace fmvm::node
