// SPDX-License-Identifier: Apache-2.0
// A disk image in memory that remembers which of its blocks were read and written.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <vector>

#include "replay/image/image_blocks.h"

namespace fmvm {

class MemoryBlocks : public replay::ImageBlocks {
  public:
    explicit MemoryBlocks(std::uint64_t bytes) : content(bytes) {}
    std::uint64_t image_bytes() const override { return content.size(); }
    bool read_only() const override { return refuse_writes; }
    Result<void> check_size() const override { return {}; }
    Result<void> sync() override { return {}; }
    replay::BlockSet data() const override {
        replay::BlockSet blocks = all();
        for (const replay::BlockIndex hole : holes)
            blocks.erase(hole);
        return blocks;
    }
    Result<void> read(replay::BlockIndex block, std::span<std::uint8_t> bytes) override {
        REQUIRE(bytes.size() == replay::bytes_of_block(block, content.size()));
        reads.push_back(block);
        if (block == unreadable) return Error("disk a.img: cannot be read at all");
        if (on_read) on_read(block);
        std::copy_n(at(block), bytes.size(), bytes.begin());
        return {};
    }
    Result<void> write(replay::BlockIndex block, std::span<const std::uint8_t> bytes) override {
        REQUIRE_FALSE(refuse_writes);
        REQUIRE(bytes.size() == replay::bytes_of_block(block, content.size()));
        writes.push_back(block);
        std::copy(bytes.begin(), bytes.end(), at(block));
        return {};
    }
    std::vector<std::uint8_t>::iterator at(replay::BlockIndex block) {
        return content.begin() + static_cast<std::ptrdiff_t>(block * replay::disk_block_bytes);
    }

    std::vector<std::uint8_t> content;
    std::vector<replay::BlockIndex> holes;
    bool refuse_writes = false;
    replay::BlockIndex unreadable = UINT64_MAX;
    std::function<void(replay::BlockIndex)> on_read;  // something that happens meanwhile
    std::vector<replay::BlockIndex> reads;
    std::vector<replay::BlockIndex> writes;
};

}  // namespace fmvm
