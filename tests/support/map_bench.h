// SPDX-License-Identifier: Apache-2.0
// A dirty block map in a file that can be copied, damaged and opened again.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "replay/image/dirty_block_map.h"
#include "support/temp_file.h"

namespace fmvm::test {

using Blocks = std::vector<replay::BlockIndex>;

inline constexpr std::uint64_t image_bytes = 10 * mib + 512;  // 161 blocks in 3 regions
inline constexpr std::uint64_t block_count = 161;

inline replay::DiskLabel fresh_label(std::uint64_t bytes = image_bytes) {
    replay::DiskLabel label;
    label.vm[0] = 1;
    label.image_bytes = bytes;
    label.generation = 4;
    label.role = replay::DiskRole::running;
    return label;
}

struct MapBench {
    TempFile unique;
    std::string path = unique.path() + ".fmvm";
    std::string why;
    std::unique_ptr<replay::DirtyBlockMap> map;

    MapBench() { open(); }
    ~MapBench() { std::filesystem::remove(path); }

    replay::DirtyBlockMap& open() {
        map.reset();
        map = replay::DirtyBlockMap::open(path, fresh_label(), why).value();
        return *map;
    }
    // As after the host was started again.
    replay::DirtyBlockMap& open_after_boot() {
        map.reset();
        {
            replay::LabelFile file = replay::LabelFile::open(path).value();
            replay::DiskLabel label = file.label();
            label.boot[3] ^= 1;
            REQUIRE(file.write(label).ok());
        }
        return open();
    }
    // As after this process was killed: another one sees the file as it is now.
    Blocks dirty_after_kill() const {
        const std::string copy = path + ".copy";
        std::filesystem::copy_file(path, copy, std::filesystem::copy_options::overwrite_existing);
        std::string ignored;
        const auto other = replay::DirtyBlockMap::open(copy, fresh_label(), ignored).value();
        std::filesystem::remove(copy);
        return list(other->dirty());
    }
    static Blocks list(const replay::BlockSet& set) {
        Blocks blocks;
        set.for_each([&](replay::BlockIndex block) { blocks.push_back(block); });
        return blocks;
    }
    Blocks dirty() const { return list(map->dirty()); }
    void clear_all() {
        map->take_touched();
        map->clear({{0, block_count}});
        REQUIRE(dirty().empty());
    }
    void write(replay::BlockIndex block, std::uint64_t blocks = 1, bool failed = false) {
        const std::uint64_t offset = block * replay::disk_block_bytes;
        const std::uint64_t length =
            std::min(blocks * replay::disk_block_bytes, image_bytes - offset);
        REQUIRE(map->mark(offset, length).ok());
        map->end_change(offset, length, failed);
    }
    void prune() {
        const auto prune = map->begin_prune(replay::DirtyBlockMap::Prune::all);
        if (prune) map->end_prune(*prune, true);
    }
};

inline Blocks range(replay::BlockIndex first, replay::BlockIndex end) {
    Blocks blocks(end - first);
    std::iota(blocks.begin(), blocks.end(), first);
    return blocks;
}

}  // namespace fmvm::test
