// SPDX-License-Identifier: Apache-2.0
#include "replay/resync/resync_target.h"

namespace fmvm::replay {

ResyncTarget::ResyncTarget(std::uint8_t disk, const DiskOwner& owner, DirtyBlockMap& map,
                           ImageBlocks& image, std::string name)
    : disk_(disk),
      owner_(owner),
      map_(map),
      image_(image),
      name_(std::move(name)),
      buffer_(disk_block_bytes) {}

Error ResyncTarget::malformed(const char* what) const {
    return make_error("disk {}: what the primary says about its content is malformed ({})", name_,
                      what);
}

KnownMessage ResyncTarget::known() const {
    const DiskLabel label = map_.label();
    return {.disk = disk_,
            .image_bytes = map_.image_bytes(),
            .read_only = image_.read_only(),
            .vm = label.vm,
            .pair = label.pair,
            .role = label.role,
            .progress = map_.progress(label.pair),
            .dirty = PackedBlocks::pack(map_.dirty()),
            .data = PackedBlocks::pack(image_.data())};
}

Result<ReadyMessage> ResyncTarget::on_begin(const BeginMessage& begin) {
    if (begun_ || begin.disk != disk_ || begin.image_bytes != map_.image_bytes())
        return malformed("begin");
    left_ = FMVM_TRY(begin.blocks.unpack(disk_block_count(map_.image_bytes())));
    left_count_ = left_.size();
    map_.take_touched();
    // The map first: until the label names the new pair, more bits than needed do no harm.
    FMVM_TRY(map_.add(left_));
    DiskLabel label = map_.label();
    label.vm = owner_.vm;
    label.generation = owner_.generation;
    label.disk = disk_;
    label.disks = owner_.disks;
    label.origin = owner_.origin;
    label.pair = begin.pair;
    label.offered = {};
    label.role = DiskRole::syncing;
    FMVM_TRY(map_.set_label(label));
    map_.resynced(equal_holes());
    begun_ = true;
    return ReadyMessage{disk_};
}

// Those of this image that the source does not want to look at: there it has holes, too.
BlockSet ResyncTarget::equal_holes() const {
    BlockSet holes(left_.bound());
    holes.insert_all();
    holes.subtract(image_.data());
    holes.subtract(left_);
    return holes;
}

std::span<std::uint8_t> ResyncTarget::buffer_for(BlockIndex block) {
    return std::span(buffer_).first(bytes_of_block(block, map_.image_bytes()));
}

Result<bool> ResyncTarget::compare(const BlockDigest& expected) {
    return FMVM_TRY(image_.digest(expected.block)) == expected.digest;
}

Result<std::variant<WantedMessage, DoneMessage>> ResyncTarget::on_digests(
    const ChunkDigestsMessage& chunk) {
    using Answer = std::variant<WantedMessage, DoneMessage>;
    if (!begun_ || chunk.disk != disk_ || chunks_.size() >= chunks_max ||
        chunks_.contains(chunk.chunk)) {
        return malformed("digests");
    }
    map_.count_heard();
    WantedMessage wanted{disk_, chunk.chunk, {}};
    for (const BlockDigest& expected : chunk.digests) {
        if (expected.block >= left_.bound() || !left_.contains(expected.block))
            return malformed("digests of other blocks");
        left_.erase(expected.block);
        --left_count_;
        if (FMVM_TRY(compare(expected))) {
            map_.resynced(expected.block);
        } else {
            wanted.blocks.push_back(expected.block);
        }
    }
    if (wanted.blocks.empty()) return Answer(done(chunk.chunk));
    if (image_.read_only()) {
        return make_error(
            "disk {}: is read-only, and differs from the primary's at byte {}; give both sides the "
            "same image",
            name_, wanted.blocks.front() * disk_block_bytes);
    }
    chunks_.emplace(chunk.chunk, wanted.blocks);
    return Answer(std::move(wanted));
}

Result<std::optional<DoneMessage>> ResyncTarget::on_blocks(const BlocksMessage& message) {
    const auto chunk = chunks_.find(message.chunk);
    if (message.disk != disk_ || chunk == chunks_.end()) return malformed("blocks of no chunk");
    map_.count_heard();
    std::vector<BlockIndex>& awaited = chunk->second;
    for (const PackedBlock& packed : message.blocks) {
        if (std::erase(awaited, packed.block) == 0) return malformed("blocks not asked for");
        FMVM_TRY(write(packed));
    }
    if (!awaited.empty()) return std::optional<DoneMessage>();
    chunks_.erase(chunk);
    return std::optional(done(message.chunk));
}

DoneMessage ResyncTarget::done(std::uint64_t chunk) {
    map_.count_sent();
    return {disk_, chunk};
}

Result<void> ResyncTarget::write(const PackedBlock& packed) {
    const std::span<std::uint8_t> bytes = buffer_for(packed.block);
    if (!packed.unpack(bytes)) return malformed("block");
    FMVM_TRY(image_.write(packed.block, bytes));
    map_.resynced(packed.block);
    return {};
}

bool ResyncTarget::finished() const {
    return begun_ && left_count_ == 0 && chunks_.empty();
}

}  // namespace fmvm::replay
