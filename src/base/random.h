// SPDX-License-Identifier: Apache-2.0
// Random values for names and identities (getrandom(2)). Any thread.
#pragma once

#include <sys/random.h>

#include <type_traits>

#include "base/check.h"

namespace fmvm {

template <typename T>
T random_value() {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 256);  // never cut short
    T value;
    FMVM_CHECK(::getrandom(&value, sizeof value, 0) == static_cast<ssize_t>(sizeof value));
    return value;
}

}  // namespace fmvm
