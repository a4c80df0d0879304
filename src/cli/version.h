// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace fmvm::cli {

#ifdef FMVM_VERSION
inline constexpr std::string_view version = FMVM_VERSION;
#else
inline constexpr std::string_view version = "0.1.0";
#endif

}  // namespace fmvm::cli
