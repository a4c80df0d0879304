// SPDX-License-Identifier: Apache-2.0
// Turns a disk image of another format into a raw one, by qemu-img.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/child_process.h"
#include "base/result.h"
#include "node/import/image_format.h"

namespace fmvm::node {

inline constexpr HelperProgram qemu_img{"qemu-img", "qemu-utils"};

struct ForeignImage {
    std::string path;  // absolute, so that no part of it is taken for a protocol's name
    ImageFormat format = ImageFormat::raw;
    std::uint64_t disk_bytes = 0;  // of the disk that it holds
};

// Looks at the image, and refuses one that is not whole by itself: a backing file, data in other
// files, encryption, damage. stop_fd: see ChildWatch. Errors name the image.
Result<ForeignImage> inspect_image(const std::string& path, ImageFormat format, int stop_fd);

// Writes the disk to a new file and synchronises it. `progress` is told per cent.
Result<void> convert_image(const ForeignImage& image, const std::string& to,
                           const std::function<void(double)>& progress, int stop_fd);

// In what `qemu-img info --output=json` says: the size of the disk. Refuses as inspect_image().
Result<std::uint64_t> disk_bytes_in(std::string_view info);

// The last "(12.34/100%)" in what qemu-img -p prints.
std::optional<double> percent_in(std::string_view printed);

}  // namespace fmvm::node
