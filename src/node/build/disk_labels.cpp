// SPDX-License-Identifier: Apache-2.0
#include "node/build/disk_labels.h"

#include <filesystem>

#include "base/log.h"
#include "node/build/raw_disks.h"
#include "replay/image/dirty_block_map.h"

namespace fmvm::node {

using replay::DirtyBlockMap;
using replay::DiskLabel;
using replay::DiskRole;
using replay::FoundLabel;
using replay::LabelState;

namespace {

bool is_file(const DiskOptions& disk) {
    std::error_code failed;
    return std::filesystem::is_regular_file(disk.path, failed);
}

}  // namespace

Result<std::optional<std::string>> label_path(const DiskOptions& disk) {
    if (disk.label == no_label) return std::optional<std::string>();
    if (!disk.label.empty()) return std::optional(disk.label);
    if (disk.readonly || is_file(disk)) return std::optional(replay::default_label_path(disk.path));
    return make_error(
        "disk {}: is no file, beside which its label would be; add label=PATH, a file that stays "
        "when this host is started again, or label=none if no protected guest ever uses it",
        disk.path);
}

Result<std::string> needed_label_path(const DiskOptions& disk) {
    const std::optional<std::string> path = FMVM_TRY(label_path(disk));
    if (path) return *path;
    return make_error("disk {}: a protected guest's disk has a label; give label=PATH, not none",
                      disk.path);
}

// Where that is not possible (a directory that cannot be written to, a label that is there), it is
// left.
void point_to_label(const DiskOptions& disk) {
    if (disk.label.empty() || !is_file(disk)) return;
    std::error_code ignored;
    std::filesystem::create_symlink(std::filesystem::absolute(disk.label, ignored),
                                    replay::default_label_path(disk.path), ignored);
}

Result<FoundLabel> find_label_of(const DiskOptions& disk) {
    const std::optional<std::string> path = FMVM_TRY(label_path(disk));
    return path ? replay::find_label(*path) : FoundLabel{};
}

Result<void> check_label(const DiskOptions& disk) {
    return may_run(FMVM_TRY(find_label_of(disk)), disk.path);
}

Result<void> check_label_place(const DiskOptions& disk, const replay::DiskPlace& place) {
    return may_be_seen(FMVM_TRY(find_label_of(disk)), disk.path, place);
}

Result<std::optional<replay::LabelId>> labelled_guest(const std::vector<DiskOptions>& disks) {
    for (const DiskOptions& disk : disks) {
        if (disk.readonly) continue;  // it may be one that several guests read
        const FoundLabel found = FMVM_TRY(find_label_of(disk));
        if (found.state == LabelState::whole && found.label.is_used())
            return std::optional(found.label.vm);
    }
    return std::optional<replay::LabelId>();
}

Result<std::optional<replay::LabelId>> give_new_pair(const DiskOptions& disk, std::size_t number,
                                                     std::uint64_t image_bytes) {
    const std::optional<std::string> path = FMVM_TRY(label_path(disk));
    if (!path) return std::optional<replay::LabelId>();
    DiskLabel fresh;
    fresh.disk = static_cast<std::uint32_t>(number);
    fresh.image_bytes = image_bytes;
    std::string lost;  // is of no interest: all of it is given up
    const auto map = FMVM_TRY(DirtyBlockMap::open(*path, fresh, lost));
    FMVM_TRY(map->break_lineage(DiskRole::clean));
    point_to_label(disk);
    return std::optional(map->label().pair);
}

Result<void> leave_protection(const std::vector<DiskOptions>& disks,
                              const std::vector<const DiskImage*>& images) {
    for (std::size_t i = 0; i < disks.size(); ++i) {
        if (disks[i].readonly) continue;  // stays what it is
        const FoundLabel found = FMVM_TRY(find_label_of(disks[i]));
        if (found.state == LabelState::absent) {
            mark_raw(*images[i]);
            continue;
        }
        if (!may_run(found, disks[i].path).ok()) {
            log::warning("disk",
                         "--force-stale: disk {} is used as it is; what its guest has written "
                         "elsewhere is given up",
                         disks[i].path);
        }
        FMVM_TRY(give_new_pair(disks[i], i, images[i]->size));
    }
    return {};
}

}  // namespace fmvm::node
