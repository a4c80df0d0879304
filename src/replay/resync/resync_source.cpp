// SPDX-License-Identifier: Apache-2.0
#include "replay/resync/resync_source.h"

#include <algorithm>

#include "base/random.h"

namespace fmvm::replay {

namespace {

Error malformed(std::uint8_t disk, const char* what) {
    return make_error("disk {}: the backup's answer about its content is malformed ({})", disk,
                      what);
}

}  // namespace

PairBasis basis_with(const DirtyBlockMap& map, const KnownMessage& peer) {
    const DiskLabel label = map.label();
    if (peer.vm != label.vm || !label.is_paired_by(peer.pair)) return PairBasis::strangers;
    return basis_of_pair(map.progress(peer.pair), peer.progress);
}

ResyncSource::ResyncSource(std::uint8_t disk, DirtyBlockMap& map, ImageBlocks& image)
    : disk_(disk), map_(map), image_(image), buffer_(disk_block_bytes) {}

Result<BeginMessage> ResyncSource::begin(const KnownMessage& peer) {
    if (state_ != State::fresh || peer.disk != disk_) return malformed(disk_, "known");
    if (peer.image_bytes != map_.image_bytes()) {
        return make_error(
            "disk {}: has {} bytes here and {} at the backup; give it an image of the same size",
            disk_, map_.image_bytes(), peer.image_bytes);
    }
    const std::uint64_t block_count = disk_block_count(map_.image_bytes());
    const BlockSet theirs = FMVM_TRY(peer.dirty.unpack(block_count));
    const BlockSet their_data = FMVM_TRY(peer.data.unpack(block_count));
    // In this order: what is marked in between is left to the first epoch, and looked at as well.
    map_.take_touched();
    DiskLabel label = map_.label();
    BlockSet differing = map_.dirty();
    basis_ = basis_with(map_, peer);
    if (basis_ == PairBasis::pair) {
        differing.merge(theirs);
    } else {
        differing.insert_all();
    }
    holes_ = common_holes(their_data);
    differing.subtract(holes_);
    label.offered = random_value<LabelId>();
    FMVM_TRY(map_.set_label(label));
    BeginMessage message{disk_, map_.image_bytes(), label.offered, basis_,
                         PackedBlocks::pack(differing)};
    to_do_ = FMVM_TRY(message.blocks.unpack(block_count));  // packing may have added some
    progress_.blocks_total = to_do_.size();
    state_ = State::offered;
    return message;
}

Result<void> ResyncSource::on_ready(const ReadyMessage& ready) {
    if (state_ != State::offered || ready.disk != disk_) return malformed(disk_, "ready");
    DiskLabel label = map_.label();
    label.pair = label.offered;
    label.offered = {};
    FMVM_TRY(map_.set_label(label));
    map_.resynced(holes_);
    state_ = State::ready;
    return {};
}

// They are equal, unless the guest has begun to write there.
BlockSet ResyncSource::common_holes(const BlockSet& their_data) const {
    BlockSet holes(their_data.bound());
    holes.insert_all();
    holes.subtract(their_data);
    holes.subtract(image_.data());
    holes.subtract(map_.touched());
    return holes;
}

Result<std::optional<ChunkDigestsMessage>> ResyncSource::next() {
    const auto nothing = std::optional<ChunkDigestsMessage>();
    if (state_ != State::ready || chunks_.size() >= chunks_max) return nothing;
    ChunkDigestsMessage message{disk_, ++last_chunk_, {}};
    Chunk chunk;
    while (chunk.blocks.size() < chunk_blocks_max) {
        const BlockIndex block = to_do_.next(next_);
        if (block == to_do_.bound()) break;
        message.digests.push_back({block, FMVM_TRY(image_.digest(block))});
        chunk.blocks.push_back(block);
        next_ = block + 1;
    }
    if (chunk.blocks.empty()) return nothing;
    map_.count_sent();
    chunks_.emplace(message.chunk, std::move(chunk));
    return std::optional(std::move(message));
}

Result<std::span<const std::uint8_t>> ResyncSource::read(BlockIndex block) {
    const auto space = std::span(buffer_).first(bytes_of_block(block, map_.image_bytes()));
    FMVM_TRY(image_.read(block, space));
    return std::span<const std::uint8_t>(space);
}

Result<ResyncSource::Chunk*> ResyncSource::find(std::uint8_t disk, std::uint64_t chunk) {
    const auto found = chunks_.find(chunk);
    if (disk != disk_ || found == chunks_.end()) return malformed(disk_, "chunk");
    return &found->second;
}

Result<std::vector<BlocksMessage>> ResyncSource::on_wanted(const WantedMessage& wanted) {
    Chunk& chunk = *FMVM_TRY(find(wanted.disk, wanted.chunk));
    if (chunk.answered || !std::ranges::includes(chunk.blocks, wanted.blocks))
        return malformed(disk_, "wanted");
    chunk.answered = true;
    std::vector<BlocksMessage> messages;
    std::size_t payload = 0;  // of the last message
    for (const BlockIndex block : wanted.blocks) {
        const std::span<const std::uint8_t> bytes = FMVM_TRY(read(block));
        PackedBlock packed = PackedBlock::pack(block, bytes);
        chunk.copied_bytes += bytes.size();
        if (payload + packed.payload.size() > blocks_payload_max || messages.empty()) {
            map_.count_sent();
            messages.push_back({disk_, wanted.chunk, {}});
            payload = 0;
        }
        payload += packed.payload.size();
        messages.back().blocks.push_back(std::move(packed));
    }
    return messages;
}

Result<void> ResyncSource::on_done(const DoneMessage& done) {
    const Chunk& chunk = *FMVM_TRY(find(done.disk, done.chunk));
    map_.count_heard();
    std::uint64_t bytes = 0;
    for (const BlockIndex block : chunk.blocks) {
        map_.resynced(block);
        bytes += bytes_of_block(block, map_.image_bytes());
    }
    progress_.blocks_done += chunk.blocks.size();
    progress_.bytes_copied += chunk.copied_bytes;
    progress_.bytes_equal += bytes - chunk.copied_bytes;
    chunks_.erase(done.chunk);
    return {};
}

bool ResyncSource::finished() const {
    return state_ == State::ready && progress_.blocks_done == progress_.blocks_total;
}

}  // namespace fmvm::replay
