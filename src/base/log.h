// SPDX-License-Identifier: Apache-2.0
// The log: one line per event on stderr, "[time] level component: message key=value".
//
// Silent while nothing happens: the default level is notice, which is for what the user must be
// told once (a quirk of this host that fmvm works around, an operator's stop). -v shows info, -vv
// debug. Errors that end the program are not logged: they are printed as "fmvm: ..." by cli.
// Threads: every function may be called from any thread.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <string_view>
#include <utility>

namespace fmvm::log {

enum class Level : int { debug, info, notice, warning, error };

// 0 -> notice, 1 -> info, more -> debug.
Level level_for_verbosity(int verbosity);
void set_level(Level level);

// One line; control characters become '?', so that a guest's bytes in a message can neither forge
// a line nor drive the operator's terminal. The part of write() that needs no stderr is apart.
std::string format_line(Level level, std::string_view component, std::string_view message);
void write(Level level, std::string_view component, std::string_view message);

namespace detail {
extern std::atomic<int> level;
}

inline bool enabled(Level level) {
    return static_cast<int>(level) >= detail::level.load(std::memory_order_relaxed);
}

template <typename... Args>
void debug(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
    if (!enabled(Level::debug)) return;
    write(Level::debug, component, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void info(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
    if (!enabled(Level::info)) return;
    write(Level::info, component, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void notice(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
    if (!enabled(Level::notice)) return;
    write(Level::notice, component, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void warning(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
    if (!enabled(Level::warning)) return;
    write(Level::warning, component, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void error(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
    if (!enabled(Level::error)) return;
    write(Level::error, component, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace fmvm::log
