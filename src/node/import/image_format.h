// SPDX-License-Identifier: Apache-2.0
// The formats of disk images that `fmvm import` takes, and what is looked at in one before qemu-img
// opens it.
//
// The format is never guessed from the content: a guest writes what it likes to its raw disk, among
// it a header that makes it an image of another kind, whose "backing file" is a file of the host.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmvm::node {

enum class ImageFormat { raw, qcow2, vmdk, vhdx };

// As qemu-img calls it, too.
std::string_view to_string(ImageFormat format);
Result<ImageFormat> parse_image_format(std::string_view text);
// By the end of the file's name.
Result<ImageFormat> image_format_by_name(std::string_view path);

// `start`: the first of the image's `size` bytes, 512 if it has so many. Refuses what is not of
// that format, and what would make qemu-img open other files already to describe it: qcow2 with an
// external data file, a VMDK that is only a description of others. The error continues "image NAME:
// ".
Result<void> check_image_start(ImageFormat format, std::span<const std::uint8_t> start,
                               std::uint64_t size);

}  // namespace fmvm::node
