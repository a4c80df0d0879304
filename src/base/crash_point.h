// SPDX-License-Identifier: Apache-2.0
// Named places where the kill tests let a process die: FMVM_CRASH_AT=NAME[:COUNT] in the
// environment makes the COUNT-th visit (the first, by default) end in SIGKILL, as a dying host
// would. FMVM_HANG_AT=NAME[:COUNT] lets the thread that makes it stand for good, as one that hangs
// in its disk would, while all others go on. Without the variables a visit costs one comparison.
#pragma once

#include <string_view>

namespace fmvm {

namespace detail {
extern const bool crash_points_armed;
void visit_crash_point(std::string_view name);
}  // namespace detail

inline void crash_point(std::string_view name) {
    if (detail::crash_points_armed) [[unlikely]]
        detail::visit_crash_point(name);
}

}  // namespace fmvm
