// SPDX-License-Identifier: Apache-2.0
// Whether this build can test mutexes that outlive the process that held them.
#pragma once

#include <catch2/catch.hpp>

#include "support/hidden_test.h"

namespace fmvm::test {

// False, and told: the thread sanitizer takes a robust mutex that another process has left locked
// for an error of its own, and stops.
inline bool can_follow_robust_mutexes() {
#if defined(__SANITIZE_THREAD__)
    WARN("not tried: the thread sanitizer does not follow robust mutexes from process to process");
    return false;
#else
    return true;
#endif
}

// Of a hidden test that needs such mutexes.
inline void passes_where_followed(const char* hidden_test) {
    if (can_follow_robust_mutexes()) passes(hidden_test);
}

}  // namespace fmvm::test
