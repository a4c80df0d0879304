// SPDX-License-Identifier: Apache-2.0
#include "node/import/kernel_choice.h"

#include <string.h>

#include <algorithm>

namespace fmvm::node {

namespace {

constexpr std::string_view kernel_prefix = "vmlinuz-";

std::string initrd_of(const std::string& version, const std::vector<std::string>& names) {
    // Debian and Ubuntu; Fedora and Red Hat; Alpine and Arch; SUSE.
    for (const std::string& name : {"initrd.img-" + version, "initramfs-" + version + ".img",
                                    "initramfs-" + version, "initrd-" + version}) {
        if (std::ranges::count(names, name) > 0) return name;
    }
    return "";
}

bool is_older(const KernelFiles& one, const KernelFiles& other) {
    if (one.initrd.empty() != other.initrd.empty()) return one.initrd.empty();
    return ::strverscmp(one.version.c_str(), other.version.c_str()) < 0;
}

}  // namespace

std::optional<KernelFiles> newest_kernel(const std::vector<std::string>& names) {
    std::optional<KernelFiles> newest;
    for (const std::string& name : names) {
        if (!name.starts_with(kernel_prefix) || name.ends_with('/')) continue;
        const std::string version = name.substr(kernel_prefix.size());
        if (version.empty()) continue;
        KernelFiles found{version, name, initrd_of(version, names)};
        if (!newest || is_older(*newest, found)) newest = std::move(found);
    }
    return newest;
}

}  // namespace fmvm::node
