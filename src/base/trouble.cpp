// SPDX-License-Identifier: Apache-2.0
#include "base/trouble.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace fmvm {

namespace {

using namespace std::chrono_literals;

// After so long it is told again, first, then, and then each time.
constexpr std::chrono::minutes repeats[] = {1min, 10min, 60min};

// The first moment after `now` at which something that began at `since` is told again.
Trouble::TimePoint next_repeat(Trouble::TimePoint since, Trouble::TimePoint now) {
    for (const auto repeat : repeats) {
        if (now < since + repeat) return since + repeat;
    }
    const auto times = (now - since) / repeats[2];
    return since + (times + 1) * repeats[2];
}

}  // namespace

void Trouble::begin(TimePoint now) {
    lasts_ = true;
    told_ = false;
    since_ = now;
    if (ended_ != TimePoint::min() && now - ended_ < quiet) return;
    first_since_ = now;
    repeat_at_ = next_repeat(now, now);
    tellings_ = 0;
    reasons_told_.clear();
}

bool Trouble::may_tell() const {
    if (tellings_ == tellings_max) return false;
    return !told_ || std::ranges::find(reasons_told_, reason_) == reasons_told_.end();
}

std::optional<std::string> Trouble::tell(std::string text) {
    told_ = true;
    ++tellings_;
    reasons_told_.push_back(reason_);
    return text;
}

std::optional<std::string> Trouble::is(std::string reason, TimePoint now) {
    if (!lasts_) begin(now);
    reason_ = std::move(reason);
    return look(now);
}

std::optional<std::string> Trouble::look(TimePoint now) {
    if (!lasts_ || now < since_ + patience_) return std::nullopt;
    if (now >= repeat_at_) {
        repeat_at_ = next_repeat(first_since_, now);
        tellings_ = 0;
        reasons_told_.clear();
        return tell(
            fmt::format("{} (first seen {} ago)", reason_, rough_words(now - first_since_)));
    }
    if (!may_tell()) return std::nullopt;
    return tell(reason_);
}

Trouble::TimePoint Trouble::due() const {
    if (!lasts_) return TimePoint::max();
    return std::max(since_ + patience_, may_tell() ? TimePoint::min() : repeat_at_);
}

std::optional<std::string> Trouble::over(TimePoint now) {
    const bool too_short = now < since_ + patience_;  // nobody would have been told of it
    if (!std::exchange(lasts_, false) || too_short) return std::nullopt;
    ended_ = now;
    if (!told_) return std::nullopt;
    return rough_words(now - since_);
}

std::string rough_words(Trouble::Duration duration) {
    const double seconds = std::chrono::duration<double>(duration).count();
    if (seconds < 10) return fmt::format("{:.1f} s", seconds);
    if (duration < 2min) return fmt::format("{:.0f} s", seconds);
    if (duration < 2h) return fmt::format("{:.0f} min", seconds / 60);
    return fmt::format("{:.0f} h", seconds / 3600);
}

}  // namespace fmvm
