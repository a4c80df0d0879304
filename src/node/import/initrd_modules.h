// SPDX-License-Identifier: Apache-2.0
// Which kernel modules an initial RAM disk has: cpio archives one behind the other, the last of
// them usually compressed (Linux: driver-api/early-userspace/buffer-format.rst). It is hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/units.h"

namespace fmvm::node {

inline constexpr std::size_t initrd_unpacked_max = 512 * mib;

// Those of `wanted` ("virtio_blk") that it does not have. Nothing: that cannot be told, because its
// format is not known here, it is damaged, or it unpacks to more than `unpacked_max`.
std::optional<std::vector<std::string>> modules_not_in(
    std::span<const std::uint8_t> initrd, std::vector<std::string> wanted,
    std::size_t unpacked_max = initrd_unpacked_max);

}  // namespace fmvm::node
