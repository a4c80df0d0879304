// SPDX-License-Identifier: Apache-2.0
// What a guest's disks are like while it stands, so that a snapshot of the guest can tell whether
// it is given the same disks again. Two things are remembered of each:
//   - the pair id that its label has from then on. Whoever runs a guest on the image first gives it
//     another one, so that an image that was used since is known for certain. A copy of an image
//     has no label, and neither has a disk whose user wants none;
//   - digests of some of its blocks, which tell an image that is none of the two, mostly.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "devices/block/disk_image.h"
#include "node/config/machine_options.h"
#include "replay/image/disk_label.h"
#include "replay/resync/resync_messages.h"

namespace fmvm::node {

struct DiskState {
    std::uint64_t image_bytes = 0;
    replay::LabelId pair{};  // none: it has no label, or is only read
    std::vector<replay::BlockDigest> samples;

    bool operator==(const DiskState&) const = default;
    static constexpr std::size_t samples_max = 64;
};

std::vector<std::uint8_t> encode_disk_states(const std::vector<DiskState>& states);
// Anybody may have written the bytes. An error unless they are what the encoder makes.
Result<std::vector<DiskState>> decode_disk_states(std::span<const std::uint8_t> bytes);

// What becomes of the guest that stands: with `goes_on` its disks change at once, and no label will
// ever have the pair id that is remembered.
enum class DiskFuture { stays, goes_on };
// Whether a request in flight may yet change these bytes of the disk.
using IsChanging = std::function<bool(std::uint64_t offset, std::uint64_t length)>;

// The guest stands. `number` of the disk, in the order of --disk. The label is durable when it
// returns. Reads at most 4 MiB.
Result<DiskState> take_disk_state(const DiskOptions& disk, std::size_t number,
                                  const DiskImage& image, const IsChanging& is_changing,
                                  DiskFuture future);
// One sentence that names the disk when it is not as it was. An image of another size is left to
// the machine, which refuses it. Changes nothing.
Result<void> check_disk_state(const DiskState& state, const DiskOptions& disk,
                              const DiskImage& image);

}  // namespace fmvm::node
