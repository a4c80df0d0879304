// SPDX-License-Identifier: Apache-2.0
// Which kernel of a /boot directory is to run.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace fmvm::node {

struct KernelFiles {
    std::string version;
    std::string kernel;  // names in that directory
    std::string initrd;  // empty: there is none
    bool operator==(const KernelFiles&) const = default;
};

// The newest vmlinuz-VERSION by version order that has an initial RAM disk; if none has, the
// newest.
std::optional<KernelFiles> newest_kernel(const std::vector<std::string>& names);

}  // namespace fmvm::node
