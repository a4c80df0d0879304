// SPDX-License-Identifier: Apache-2.0
// The primary's part in making one disk of a backup equal to its own (resync_messages.h). No
// sockets, clocks or threads: calls return what is to be sent, in order.
//
// The guest runs and writes meanwhile. Its writes are not this class's business: they are mirrored
// in the same stream, each once it has completed, so that a block read here holds it already or it
// comes behind the block. For the map to be right the caller
//   - begins when the log takes every request (BlockLog::begin()), and reads (next(), on_wanted())
//     only when none is in flight that the log will miss (BlockLog::all_captured());
//   - leaves what is marked from begin() on to the first epoch (DirtyBlockMap::take_touched()).
//
// An error means that this connection is of no use any more, and says why. The next one goes on
// with what is left.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "replay/image/dirty_block_map.h"
#include "replay/image/image_blocks.h"
#include "replay/resync/resync_messages.h"

namespace fmvm::replay {

struct ResyncProgress {
    std::uint64_t blocks_total = 0;
    std::uint64_t blocks_done = 0;
    std::uint64_t bytes_equal = 0;   // of the blocks done
    std::uint64_t bytes_copied = 0;  // likewise
};

// What is known of this side's image and the other's when they meet.
PairBasis basis_with(const DirtyBlockMap& map, const KnownMessage& peer);

class ResyncSource {
  public:
    // disk: its number. Both outlive this.
    ResyncSource(std::uint8_t disk, DirtyBlockMap& map, ImageBlocks& image);

    // Which blocks are to be looked at, and under which pair. The offer is durable when it returns;
    // the map's touched blocks were taken.
    Result<BeginMessage> begin(const KnownMessage& peer);
    Result<void> on_ready(const ReadyMessage& ready);
    // The next chunk; nothing when enough are on their way, or no more are left. Reads up to 4 MiB.
    Result<std::optional<ChunkDigestsMessage>> next();
    // Reads up to 4 MiB.
    Result<std::vector<BlocksMessage>> on_wanted(const WantedMessage& wanted);
    Result<void> on_done(const DoneMessage& done);

    // On which begin() chose the blocks.
    PairBasis basis() const { return basis_; }
    // The label names the new pair: steps are counted, and serials told.
    bool ready() const { return state_ == State::ready; }
    // The target owes an answer.
    bool awaits_target() const { return state_ == State::offered || !chunks_.empty(); }
    // Every block was found equal or copied.
    bool finished() const;
    const ResyncProgress& progress() const { return progress_; }

  private:
    struct Chunk {
        std::vector<BlockIndex> blocks;
        std::uint64_t copied_bytes = 0;
        bool answered = false;  // the target said what it wants
    };
    BlockSet common_holes(const BlockSet& their_data) const;
    Result<std::span<const std::uint8_t>> read(BlockIndex block);
    // The chunk that a message is about; an error when none such is on its way.
    Result<Chunk*> find(std::uint8_t disk, std::uint64_t chunk);

    const std::uint8_t disk_;
    DirtyBlockMap& map_;
    ImageBlocks& image_;
    PairBasis basis_ = PairBasis::strangers;
    BlockSet holes_;       // on both sides
    BlockSet to_do_;       // as it began
    BlockIndex next_ = 0;  // those of them from here on are left
    enum class State { fresh, offered, ready } state_ = State::fresh;
    std::uint64_t last_chunk_ = 0;
    std::map<std::uint64_t, Chunk> chunks_;  // on their way
    std::vector<std::uint8_t> buffer_;
    ResyncProgress progress_;
};

}  // namespace fmvm::replay
