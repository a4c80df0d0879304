// SPDX-License-Identifier: Apache-2.0
// The version of this program, from CMakeLists.txt.
#pragma once

#include <string_view>

namespace fmvm::cli {

inline constexpr std::string_view version = FMVM_VERSION;

}  // namespace fmvm::cli
