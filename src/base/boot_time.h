// SPDX-License-Identifier: Apache-2.0
// CLOCK_BOOTTIME: the time since this host's boot. It goes on while a process is stopped or its
// host is suspended. Any thread.
#pragma once

#include <chrono>
#include <ctime>

namespace fmvm {

inline std::chrono::nanoseconds boot_time() {
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace fmvm
