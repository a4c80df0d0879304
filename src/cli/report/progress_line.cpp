// SPDX-License-Identifier: Apache-2.0
#include "cli/report/progress_line.h"

#include <fmt/format.h>
#include <unistd.h>

namespace fmvm::cli {

namespace {

constexpr std::string_view clear_line = "\r\x1b[K";

}  // namespace

ProgressLine::ProgressLine(std::FILE* terminal, AtEnd at_end)
    : terminal_(::isatty(::fileno(terminal)) == 1 ? terminal : nullptr), at_end_(at_end) {}

ProgressLine::~ProgressLine() {
    if (at_end_ == AtEnd::clear) clear();
}

// The cursor goes back to the line's start, so that the next output takes its place.
void ProgressLine::show(std::string_view text) {
    const auto now = std::chrono::steady_clock::now();
    if (terminal_ == nullptr || (shown_ && now - *shown_ < interval)) return;
    shown_ = now;
    fmt::print(terminal_, "{}{}\r", clear_line, text);
}

void ProgressLine::clear() {
    if (!shown_) return;
    shown_.reset();
    fmt::print(terminal_, "{}", clear_line);
}

}  // namespace fmvm::cli
