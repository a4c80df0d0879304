// SPDX-License-Identifier: Apache-2.0
// Which kernel modules an initial RAM disk has: cpio archives one behind the other, the last of
// them usually compressed (Linux: driver-api/early-userspace/buffer-format.rst). It is hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace fmvm::cli {

// Those of `wanted` ("virtio_blk") that it does not have. Nothing: that cannot be told, because its
// format is not known here, it is damaged, or it is too large.
std::optional<std::vector<std::string>> modules_not_in(std::span<const std::uint8_t> initrd,
                                                       std::vector<std::string> wanted);

}  // namespace fmvm::cli
