// SPDX-License-Identifier: Apache-2.0
// What the label of an image allows: who may run it, and who may overwrite it (docs/resync.md,
// "Which image may run"). Each answer that is a no is one sentence, which names the disk and what
// to do instead, and nothing that would destroy what is on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "replay/image/disk_label.h"

namespace fmvm::replay {

// As what an image is to be used: as which disk of which guest, that has so many.
struct DiskPlace {
    LabelId vm{};
    std::size_t disk = 0;
    std::size_t disks = 0;
    bool is_added = false;  // to those that the guest had, behind them
};

// Whether `fmvm run` may use an image with this label.
Result<void> may_run(const FoundLabel& found, const std::string& image);
// The same for the primary of a VM whose newest generation, as its arbiter knows it, is `newest`
// (that which ran it last; 0: none).
Result<void> may_protect(const FoundLabel& found, const std::string& image, const DiskPlace& place,
                         std::uint64_t newest);
// Whether a backup may overwrite the image as that disk, with one of that origin. What a label says
// that a guest has used is overwritten only by what descends from it.
Result<void> may_follow(const DiskLabel& label, const std::string& image, const DiskPlace& place,
                        const LabelId& origin);
// Whether an image that is only read, or that both sides share, is at the place that its label
// knows. One of another guest may be anywhere: nothing changes it, or it has left its pair.
Result<void> may_be_seen(const FoundLabel& found, const std::string& image, const DiskPlace& place);

}  // namespace fmvm::replay
