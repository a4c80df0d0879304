// SPDX-License-Identifier: Apache-2.0
#include "cli/report/progress_line.h"

#include <fmt/format.h>

namespace fmvm::cli {

namespace {

constexpr std::string_view clear_line = "\r\x1b[K";

}  // namespace

ProgressLine::ProgressLine(BackgroundWriter& writer, AtEnd at_end)
    : writer_(writer), watched_(writer.is_terminal()), at_end_(at_end) {}

ProgressLine::~ProgressLine() {
    if (at_end_ == AtEnd::clear) clear();
}

// The cursor goes back to the line's start, so that the next output takes its place.
void ProgressLine::show(std::string_view text) {
    const auto now = std::chrono::steady_clock::now();
    if (!watched_ || (shown_ && now - *shown_ < interval)) return;
    shown_ = now;
    writer_.offer(fmt::format("{}{}\r", clear_line, text));
}

void ProgressLine::clear() {
    if (!shown_) return;
    shown_.reset();
    writer_.write(clear_line);
}

}  // namespace fmvm::cli
