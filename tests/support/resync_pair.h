// SPDX-License-Identifier: Apache-2.0
// Both sides of a resync of one disk, and a stream between them without loss.
#pragma once

#include <catch2/catch.hpp>
#include <numeric>
#include <variant>

#include "replay/resync/resync_source.h"
#include "replay/resync/resync_target.h"
#include "support/memory_blocks.h"

namespace fmvm::test {

using Blocks = std::vector<replay::BlockIndex>;

inline constexpr std::uint64_t block_count = 300;
inline constexpr std::uint64_t image_bytes = block_count * replay::disk_block_bytes - 1024;

inline std::unique_ptr<replay::DirtyBlockMap> new_map(std::uint64_t bytes = image_bytes) {
    replay::DiskLabel label;
    label.vm[0] = 1;
    label.image_bytes = bytes;
    return replay::DirtyBlockMap::unsaved(label).value();
}

struct ResyncPair {
    MemoryBlocks source_image{image_bytes};
    MemoryBlocks target_image{image_bytes};
    std::unique_ptr<replay::DirtyBlockMap> source_map = new_map();
    std::unique_ptr<replay::DirtyBlockMap> target_map = new_map();
    std::optional<replay::ResyncSource> source;
    std::optional<replay::ResyncTarget> target;

    ResyncPair() { restart(); }
    void restart() {
        source.emplace(2, *source_map, source_image);
        target.emplace(2, replay::DiskOwner{{1}, 5, 3, {4}}, *target_map, target_image, "b.img");
    }
    void scribble(MemoryBlocks& image, replay::BlockIndex block) { *image.at(block) ^= 0x55; }
    void begin() {
        const replay::BeginMessage begin = source->begin(target->known()).value();
        REQUIRE(source->on_ready(target->on_begin(begin).value()).ok());
    }
    void answer(const replay::ChunkDigestsMessage& digests) {
        const auto answer = target->on_digests(digests).value();
        if (const auto* done = std::get_if<replay::DoneMessage>(&answer)) {
            REQUIRE(source->on_done(*done).ok());
            return;
        }
        for (const replay::BlocksMessage& blocks :
             source->on_wanted(std::get<replay::WantedMessage>(answer)).value()) {
            std::size_t payload = 0;
            for (const replay::PackedBlock& packed : blocks.blocks)
                payload += packed.payload.size();
            CHECK(payload <= replay::blocks_payload_max);
            CHECK(blocks.encode().size() < 4 * mib);
            if (const auto done = target->on_blocks(blocks).value())
                REQUIRE(source->on_done(*done).ok());
        }
    }
    void run() {
        begin();
        while (const auto digests = source->next().value())
            answer(*digests);
        REQUIRE(source->finished());
        REQUIRE(target->finished());
    }
    void forget_io() {
        source_image.reads.clear();
        target_image.reads.clear();
        target_image.writes.clear();
    }
};

inline Blocks all_blocks() {
    Blocks blocks(block_count);
    std::iota(blocks.begin(), blocks.end(), 0);
    return blocks;
}

}  // namespace fmvm::test
