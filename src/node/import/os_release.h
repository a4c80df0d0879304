// SPDX-License-Identifier: Apache-2.0
// What a system calls itself: os-release(5), written by whoever made the image.
#pragma once

#include <string>
#include <string_view>

namespace fmvm::node {

// PRETTY_NAME, or NAME and VERSION, or "an unnamed system": one short line of printable ASCII; a
// '?' stands for anything else.
std::string system_name(std::string_view os_release);

}  // namespace fmvm::node
