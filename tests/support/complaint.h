// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace fmvm::test {

// What is wrong with a result; empty: nothing.
template <typename T>
std::string complaint(const Result<T>& result) {
    return result.ok() ? "" : result.error().message();
}

}  // namespace fmvm::test
