// SPDX-License-Identifier: Apache-2.0
#include "node/build/new_disks.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/bytes.h"
#include "base/log.h"
#include "node/build/disk_labels.h"
#include "replay/image/image_blocks.h"

namespace fmvm::node {

namespace {

// Where the next data begins, at `from` or later; the image's end when there is none. A device, or
// a file system that does not know holes, has data everywhere.
std::uint64_t next_data(const DiskImage& image, std::uint64_t from) {
    const off_t found = ::lseek(image.fd.get(), static_cast<off_t>(from), SEEK_DATA);
    if (found >= 0) return static_cast<std::uint64_t>(found);
    return errno == ENXIO ? image.size : from;
}

Result<void> check_new_disk(const DiskOptions& disk, bool accept_any) {
    const replay::FoundLabel found = FMVM_TRY(find_label_of(disk));
    if (found.state == replay::LabelState::whole && found.label.is_used()) return {};
    const DiskImage image = FMVM_TRY(
        DiskImage::open(disk.path, {.read_only = true, .direct = disk.direct, .lock = false}));
    if (FMVM_TRY(is_all_zeroes(image))) return {};
    if (accept_any) {
        log::warning("backup", "--new-disk: all that is on disk {} will be overwritten", disk.path);
        return {};
    }
    return make_error(
        "disk {}: is not empty, and has no label that says which guest's it is, so that nobody "
        "knows whether it is needed; give an image that holds nothing but zeroes",
        disk.path);
}

}  // namespace

Result<bool> is_all_zeroes(const DiskImage& image) {
    const auto blocks = replay::open_image_blocks(image, image.path);
    std::vector<std::uint8_t> bytes(replay::disk_block_bytes);
    for (std::uint64_t at = next_data(image, 0); at < image.size;) {
        const replay::BlockIndex block = at / replay::disk_block_bytes;
        const auto space = std::span(bytes).first(replay::bytes_of_block(block, image.size));
        FMVM_TRY(blocks->read(block, space));
        if (!is_zero(space)) return false;
        at = next_data(image, std::min(image.size, (block + 1) * replay::disk_block_bytes));
    }
    return true;
}

Result<void> check_new_disks(const std::vector<DiskOptions>& disks, bool accept_any) {
    for (const DiskOptions& disk : disks) {
        if (!disk.readonly) FMVM_TRY(check_new_disk(disk, accept_any));
    }
    return {};
}

}  // namespace fmvm::node
