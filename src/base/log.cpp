// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/details/log_msg.h>
#include <spdlog/pattern_formatter.h>

#include <string>

#include "base/mutex.h"
#include "base/standard_error.h"
#include "base/text.h"

namespace fmvm::log {

namespace detail {
std::atomic<int> level{static_cast<int>(Level::notice)};
}

namespace {

constexpr std::string_view level_names[] = {"debug", "info", "notice", "warning", "error"};

// "[time] line": when it was said, not when somebody reads it.
std::string stamped(const std::string& line) {
    static Mutex mutex;  // the formatter remembers the second that it formatted last
    static auto* const formatter = new spdlog::pattern_formatter("[%Y-%m-%d %H:%M:%S.%e] %v");
    spdlog::memory_buf_t text;
    const Lock lock(mutex);
    formatter->format(spdlog::details::log_msg("", spdlog::level::info, line), text);
    return fmt::to_string(text);
}

}  // namespace

Level level_for_verbosity(int verbosity) {
    if (verbosity <= 0) return Level::notice;
    return verbosity == 1 ? Level::info : Level::debug;
}

void set_level(Level level) {
    detail::level.store(static_cast<int>(level));
}

std::string format_line(Level level, std::string_view component, std::string_view message) {
    return without_controls(
        fmt::format("{} {}: {}", level_names[static_cast<int>(level)], component, message));
}

void write(Level level, std::string_view component, std::string_view message) {
    standard_error().write(stamped(format_line(level, component, message)));
}

}  // namespace fmvm::log
