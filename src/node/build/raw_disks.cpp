// SPDX-License-Identifier: Apache-2.0
#include "node/build/raw_disks.h"

#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/log.h"
#include "devices/block/image_container.h"
#include "node/build/disk_labels.h"
#include "replay/image/image_blocks.h"

namespace fmvm::node {

namespace {

constexpr const char* mark_name = "user.fmvm.raw";

enum class Mark { set, absent, impossible };

Mark mark_of(const DiskImage& image) {
    struct stat info {};
    if (::fstat(image.fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return Mark::impossible;
    if (::fgetxattr(image.fd.get(), mark_name, nullptr, 0) >= 0) return Mark::set;
    return errno == ENODATA ? Mark::absent : Mark::impossible;
}

Result<std::vector<std::uint8_t>> read_block(replay::ImageBlocks& blocks,
                                             replay::BlockIndex block) {
    std::vector<std::uint8_t> bytes(replay::bytes_of_block(block, blocks.image_bytes()));
    FMVM_TRY(blocks.read(block, bytes));
    return bytes;
}

Result<std::optional<std::string_view>> format_of(const DiskImage& image) {
    const auto blocks = replay::open_image_blocks(image, image.path);
    const auto first = FMVM_TRY(read_block(*blocks, 0));
    const auto last = FMVM_TRY(read_block(*blocks, replay::disk_block_count(image.size) - 1));
    return container_format(std::span(first).first(sector_size), std::span(last).last(sector_size));
}

}  // namespace

Result<void> check_raw(const DiskOptions& disk, const DiskImage& image) {
    const Mark mark = mark_of(image);
    if (disk.raw || mark == Mark::set) return {};
    if (FMVM_TRY(find_label_of(disk)).state != replay::LabelState::absent) return {};
    const std::optional<std::string_view> format = FMVM_TRY(format_of(image));
    if (!format) return {};
    if (mark == Mark::impossible) {
        log::warning("disk",
                     "disk {}: looks like a {} image, and is taken as raw; if it is one, stop, and "
                     "convert it: qemu-img convert -f {} -O raw {} {}.raw",
                     disk.path, *format, *format, disk.path, disk.path);
        return {};
    }
    return make_error(
        "disk {}: looks like a {} image, and fmvm would take it as raw; convert it (qemu-img "
        "convert -f {} -O raw {} {}.raw), or add format=raw if it is a raw disk all the same",
        disk.path, *format, *format, disk.path, disk.path);
}

void mark_raw(const DiskImage& image) {
    if (mark_of(image) != Mark::absent) return;
    if (::fsetxattr(image.fd.get(), mark_name, "1", 1, 0) == 0) return;
    log::warning("disk",
                 "disk {}: cannot be marked as a raw disk ({}); if its guest makes it look like "
                 "another format, it will need format=raw",
                 image.path, std::strerror(errno));
}

}  // namespace fmvm::node
