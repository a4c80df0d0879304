// SPDX-License-Identifier: Apache-2.0
// The backup's part in making one of its disks equal to the primary's (resync_messages.h). No
// sockets, clocks or threads: calls return what is to be sent, in order.
//
// Mirrored writes of the running guest are not this class's business; they come in the same stream
// and are carried out, marked in the same map, between the calls.
//
// An error means that this side cannot go on, and says why. What was made equal stays known.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "replay/image/dirty_block_map.h"
#include "replay/image/image_blocks.h"
#include "replay/resync/resync_messages.h"

namespace fmvm::replay {

// For which guest, in which of its generations, and as one of how many disks an image is used; and
// what it will descend from.
struct DiskOwner {
    LabelId vm{};
    std::uint64_t generation = 0;
    std::uint32_t disks = 1;
    LabelId origin{};
};

class ResyncTarget {
  public:
    // disk: its number. map and image outlive this. `name` of the image: for messages.
    ResyncTarget(std::uint8_t disk, const DiskOwner& owner, DirtyBlockMap& map, ImageBlocks& image,
                 std::string name);

    KnownMessage known() const;
    // The label says `syncing`, durably, when it returns; nothing on the image has changed yet.
    Result<ReadyMessage> on_begin(const BeginMessage& begin);
    // Reads up to 4 MiB. An image that is read-only and differs is an error.
    Result<std::variant<WantedMessage, DoneMessage>> on_digests(const ChunkDigestsMessage& chunk);
    // The chunk is done when the last of its blocks has come.
    Result<std::optional<DoneMessage>> on_blocks(const BlocksMessage& message);

    bool begun() const { return begun_; }
    // Every block that began is equal; the caller then sets the role `following`.
    bool finished() const;

  private:
    // Whether the block is as it should be.
    Result<bool> compare(const BlockDigest& expected);
    Result<void> write(const PackedBlock& packed);
    DoneMessage done(std::uint64_t chunk);
    BlockSet equal_holes() const;
    std::span<std::uint8_t> buffer_for(BlockIndex block);
    Error malformed(const char* what) const;

    const std::uint8_t disk_;
    const DiskOwner owner_;
    DirtyBlockMap& map_;
    ImageBlocks& image_;
    const std::string name_;
    bool begun_ = false;
    BlockSet left_;  // not compared yet
    std::uint64_t left_count_ = 0;
    std::map<std::uint64_t, std::vector<BlockIndex>> chunks_;  // blocks that they wait for
    std::vector<std::uint8_t> buffer_;
};

}  // namespace fmvm::replay
