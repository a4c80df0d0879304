// SPDX-License-Identifier: Apache-2.0
// The line by which a command shows how far it is to somebody who watches its terminal. Whatever is
// written next takes the line's place. Where no terminal is, or one takes nothing, nothing is
// shown.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "base/standard_error.h"

namespace fmvm::cli {

class ProgressLine {
  public:
    enum class AtEnd { clear, leave };
    // Shown at most so often; what comes in between is left out.
    static constexpr std::chrono::milliseconds interval{200};

    explicit ProgressLine(BackgroundWriter& writer = standard_error(), AtEnd at_end = AtEnd::clear);
    ~ProgressLine();
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    void show(std::string_view text);
    // Takes the line away, if there is one.
    void clear();

  private:
    BackgroundWriter& writer_;
    const bool watched_;
    const AtEnd at_end_;
    std::optional<std::chrono::steady_clock::time_point> shown_;
};

}  // namespace fmvm::cli
