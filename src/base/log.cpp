// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <string>

#include "base/text.h"

namespace fmvm::log {

namespace detail {
std::atomic<int> level{static_cast<int>(Level::notice)};
}

namespace {

constexpr std::string_view level_names[] = {"debug", "info", "notice", "warning", "error"};

// Made at the first line, not at start: a run that logs nothing pays nothing. Never destroyed,
// because threads may log until the very end. Our own level check comes first, so spdlog's own is
// opened wide.
spdlog::logger& logger() {
    static spdlog::logger* const instance = [] {
        auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
        auto* made = new spdlog::logger("fmvm", std::move(sink));
        made->set_pattern("[%Y-%m-%d %H:%M:%S.%e] %v");
        made->set_level(spdlog::level::trace);
        made->flush_on(spdlog::level::trace);
        return made;
    }();
    return *instance;
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
    logger().log(spdlog::level::info, "{}", format_line(level, component, message));
}

}  // namespace fmvm::log
