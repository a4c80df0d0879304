// SPDX-License-Identifier: Apache-2.0
#include "node/run/disk_comparison.h"

#include <fmt/ranges.h>

#include <string>

namespace fmvm::node {

namespace {

std::string access_of(const DiskShape& disk) {
    return disk.read_only ? "readonly" : "writable";
}

std::vector<std::string> differences(const DiskShape& primary, const DiskShape& backup) {
    std::vector<std::string> found;
    const auto compare = [&](std::string_view what, const auto& there, const auto& here) {
        if (there != here)
            found.push_back(fmt::format("{}{} on the primary, {} here", what, there, here));
    };
    compare("bytes: ", primary.capacity, backup.capacity);
    compare("bytes of a block (direct, or the device): ", primary.block_size, backup.block_size);
    compare("", access_of(primary), access_of(backup));
    compare("serial: ", fmt::format("'{}'", primary.serial), fmt::format("'{}'", backup.serial));
    return found;
}

}  // namespace

Result<void> compare_disks(const std::vector<DiskShape>& primary,
                           const std::vector<DiskShape>& backup) {
    if (primary.size() != backup.size()) {
        return make_error(
            "the primary has {} disks, this backup {}; give --disk for each, in order",
            primary.size(), backup.size());
    }
    for (std::size_t i = 0; i < backup.size(); ++i) {
        const std::vector<std::string> found = differences(primary[i], backup[i]);
        if (found.empty()) continue;
        return make_error("disk {} differs ({}); give the same on both sides", i,
                          fmt::join(found, "; "));
    }
    return {};
}

}  // namespace fmvm::node
