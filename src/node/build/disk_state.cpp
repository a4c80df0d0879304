// SPDX-License-Identifier: Apache-2.0
#include "node/build/disk_state.h"

#include <algorithm>

#include "base/field_list.h"
#include "base/log.h"
#include "base/random.h"
#include "node/build/disk_labels.h"
#include "replay/image/image_blocks.h"

namespace fmvm::node {

namespace {

using replay::BlockDigest;
using replay::BlockIndex;

constexpr std::size_t disks_max = 16;
constexpr std::size_t state_bytes_min = sizeof(std::uint64_t) + 16 + sizeof(std::uint32_t);

struct DiskStates {
    std::vector<DiskState> disks;
};

void fields(auto& archive, FieldsOf<DiskState> auto& state) {
    archive.u64(state.image_bytes);
    archive.raw(state.pair);
    archive.list(
        state.samples,
        {.element_bytes_min = replay::block_digest_bytes, .count_max = DiskState::samples_max},
        [&state](auto& element, auto& sample) {
            fields(element, sample);
            element.check(sample.block < replay::disk_block_count(state.image_bytes));
        });
}

void fields(auto& archive, FieldsOf<DiskStates> auto& states) {
    archive.list(states.disks, {.element_bytes_min = state_bytes_min, .count_max = disks_max},
                 [](auto& element, auto& state) { fields(element, state); });
}

// The first blocks, where partition tables, file systems and their journals begin; the last one;
// and as many spread over the rest as there may be.
std::vector<BlockIndex> blocks_to_sample(std::uint64_t image_bytes) {
    constexpr BlockIndex first = 16;
    const BlockIndex count = replay::disk_block_count(image_bytes);
    std::vector<BlockIndex> blocks;
    for (BlockIndex block = 0; block < std::min(first, count); ++block)
        blocks.push_back(block);
    if (count <= first) return blocks;
    const BlockIndex rest = count - first;
    const BlockIndex spread = std::min<BlockIndex>(rest, DiskState::samples_max - first);
    for (BlockIndex i = 1; i <= spread; ++i)
        blocks.push_back(first + rest / spread * i + rest % spread * i / spread - 1);
    return blocks;
}

// Durable. None when the disk can have no label: then its content alone is remembered.
Result<replay::LabelId> mark_label(const DiskOptions& disk, std::size_t number,
                                   const DiskImage& image, DiskFuture future) {
    if (disk.readonly) return replay::LabelId{};
    const Result<std::optional<replay::LabelId>> pair = give_new_pair(disk, number, image.size);
    if (!pair.ok()) {
        log::warning("run", "{}; whether the disk was used since is told by its content only",
                     pair.error().message());
        return replay::LabelId{};
    }
    if (!pair.value()) return replay::LabelId{};
    return future == DiskFuture::stays ? *pair.value() : random_value<replay::LabelId>();
}

Error changed(const DiskOptions& disk, std::string_view how) {
    return make_error(
        "disk {}: is not as it was when the snapshot was taken: {}; give a copy that was made "
        "then, or start the guest from its disk, without --restore",
        disk.path, how);
}

}  // namespace

std::vector<std::uint8_t> encode_disk_states(const std::vector<DiskState>& states) {
    return encode_fields(DiskStates{states});
}

Result<std::vector<DiskState>> decode_disk_states(std::span<const std::uint8_t> bytes) {
    DiskStates states = FMVM_TRY(decode_fields<DiskStates>(bytes, "disks"));
    return std::move(states.disks);
}

Result<DiskState> take_disk_state(const DiskOptions& disk, std::size_t number,
                                  const DiskImage& image, const IsChanging& is_changing,
                                  DiskFuture future) {
    DiskState state;
    state.image_bytes = image.size;
    state.pair = FMVM_TRY(mark_label(disk, number, image, future));
    const auto blocks = replay::open_image_blocks(image, disk.path);
    for (const BlockIndex block : blocks_to_sample(image.size)) {
        const std::uint64_t length = replay::bytes_of_block(block, image.size);
        if (is_changing(block * replay::disk_block_bytes, length)) continue;
        state.samples.push_back({block, FMVM_TRY(blocks->digest(block))});
    }
    return state;
}

Result<void> check_disk_state(const DiskState& state, const DiskOptions& disk,
                              const DiskImage& image) {
    if (image.size != state.image_bytes) return {};
    if (!disk.readonly && state.pair != replay::LabelId{}) {
        const replay::FoundLabel found = FMVM_TRY(find_label_of(disk));
        const bool has_pair =
            found.state == replay::LabelState::whole && found.label.pair != replay::LabelId{};
        if (has_pair && found.label.pair != state.pair)
            return changed(disk, "a guest has run on it since");
    }
    const auto blocks = replay::open_image_blocks(image, disk.path);
    for (const BlockDigest& sample : state.samples) {
        if (FMVM_TRY(blocks->digest(sample.block)) == sample.digest) continue;
        return changed(disk, fmt::format("its content differs at byte {}",
                                         sample.block * replay::disk_block_bytes));
    }
    return {};
}

}  // namespace fmvm::node
