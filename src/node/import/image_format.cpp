// SPDX-License-Identifier: Apache-2.0
#include "node/import/image_format.h"

#include <algorithm>
#include <array>

#include "base/little_endian.h"
#include "base/units.h"
#include "devices/block/image_container.h"

namespace fmvm::node {

namespace {

using namespace std::string_view_literals;

struct Known {
    ImageFormat format;
    std::string_view name;
    std::string_view suffix;
};

constexpr std::array known_formats{
    Known{ImageFormat::raw, "raw", ".raw"},
    Known{ImageFormat::qcow2, "qcow2", ".qcow2"},
    Known{ImageFormat::vmdk, "vmdk", ".vmdk"},
    Known{ImageFormat::vhdx, "vhdx", ".vhdx"},
};

const Known& about(ImageFormat format) {
    return *std::ranges::find(known_formats, format, &Known::format);
}

bool starts_with(std::span<const std::uint8_t> bytes, std::string_view text) {
    return bytes.size() >= text.size() &&
           std::equal(text.begin(), text.end(), bytes.begin(),
                      [](char character, std::uint8_t byte) {
                          return static_cast<std::uint8_t>(character) == byte;
                      });
}

// docs/interop/qcow2.txt of QEMU. Numbers are big-endian.
Result<void> check_qcow2(std::span<const std::uint8_t> start) {
    constexpr std::size_t version_at = 7, backing_at = 8, features_at = 72, header_bytes = 104;
    constexpr std::uint8_t version_with_features = 3, external_data_file = 1 << 2;
    if (start.size() < header_bytes) return Error("is truncated; copy it again");
    if (load_le<std::uint64_t>(start, backing_at) != 0) {
        return Error(
            "has a backing file, so that it is only a part of a disk; make a whole one of it with "
            "qemu-img convert, where you trust both");
    }
    const std::uint8_t lowest_features = start[features_at + 7];
    if (start[version_at] >= version_with_features && (lowest_features & external_data_file) != 0) {
        return Error(
            "keeps its data in another file; make a whole one of it with qemu-img convert, where "
            "you trust both");
    }
    return {};
}

// VMware's Virtual Disk Format 5.0, "Hosted Sparse Extents". Without a capacity of its own the
// header leads to a description, which may name any file of the host.
Result<void> check_vmdk(std::span<const std::uint8_t> start) {
    constexpr std::size_t capacity_at = 12, header_bytes = 512;
    if (start.size() < header_bytes) return Error("is truncated; copy it again");
    if (load_le<std::uint64_t>(start, capacity_at) != 0) return {};
    return Error("describes a disk that is in other files; export it as one file (OVF) instead");
}

// MS-VHDX 2.1: all that is in one is aligned to a mebibyte. qemu-img does not see that a part of
// the last block is missing.
Result<void> check_vhdx(std::uint64_t size) {
    if (is_aligned(size, mib)) return {};
    return Error("is truncated; copy it again");
}

}  // namespace

std::string_view to_string(ImageFormat format) {
    return about(format).name;
}

Result<ImageFormat> parse_image_format(std::string_view text) {
    const auto* const found = std::ranges::find(known_formats, text, &Known::name);
    if (found == known_formats.end())
        return make_error("'{}' is not known; raw, qcow2, vmdk and vhdx are", text);
    return found->format;
}

Result<ImageFormat> image_format_by_name(std::string_view path) {
    const auto* const found = std::ranges::find_if(
        known_formats, [&](const Known& known) { return path.ends_with(known.suffix); });
    if (found == known_formats.end()) {
        return make_error(
            "image {}: its name does not tell its format (.qcow2, .vmdk, .vhdx and .raw do), and "
            "its content is not asked, because a guest may have written it; give --format (many "
            "an .img is qcow2)",
            path);
    }
    return found->format;
}

Result<void> check_image_start(ImageFormat format, std::span<const std::uint8_t> start,
                               std::uint64_t size) {
    const Known& known = about(format);
    if (starts_with(start, "# Disk DescriptorFile"sv) && format == ImageFormat::vmdk)
        return Error(
            "describes a disk that is in other files; export it as one file (OVF) instead");
    if (format != ImageFormat::raw && container_format(start, {}) != known.name)
        return make_error("is not a {} image; check --format, or copy it again", known.name);
    if (format == ImageFormat::qcow2) return check_qcow2(start);
    if (format == ImageFormat::vmdk) return check_vmdk(start);
    if (format == ImageFormat::vhdx) return check_vhdx(size);
    return {};
}

}  // namespace fmvm::node
