// SPDX-License-Identifier: Apache-2.0
#include "cli/disk_labels.h"

#include "replay/dirty_block_map.h"

namespace fmvm::cli {

using replay::DirtyBlockMap;
using replay::DiskLabel;
using replay::DiskRole;
using replay::LabelState;

std::string label_path(const DiskOptions& disk) {
    return disk.label.empty() ? replay::default_label_path(disk.path) : disk.label;
}

Result<void> check_label(const DiskOptions& disk) {
    const replay::FoundLabel found = FMVM_TRY(replay::find_label(label_path(disk)));
    return may_run(found, disk.path);
}

Result<void> leave_protection(const std::vector<DiskOptions>& disks,
                              const std::vector<const DiskImage*>& images) {
    for (std::size_t i = 0; i < disks.size(); ++i) {
        const std::string path = label_path(disks[i]);
        if (disks[i].readonly) continue;  // stays what it is
        if (FMVM_TRY(replay::find_label(path)).state == LabelState::absent) continue;
        DiskLabel fresh;
        fresh.disk = static_cast<std::uint32_t>(i);
        fresh.image_bytes = images[i]->size;
        std::string lost;  // is of no interest: all of it is given up
        const auto map = FMVM_TRY(DirtyBlockMap::open(path, fresh, lost));
        FMVM_TRY(map->break_lineage(DiskRole::clean));
    }
    return {};
}

}  // namespace fmvm::cli
