// SPDX-License-Identifier: Apache-2.0
// One side of a pair of disks in the resync model: an image of short values, its label, what a
// power loss leaves of both, and copies of them that are put back.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>

#include "base/little_endian.h"
#include "replay/image/dirty_block_map.h"
#include "replay/image/image_blocks.h"
#include "support/temp_file.h"

namespace fmvm::test {

using Random = std::mt19937_64;
// What a block holds, in short; 0 is a hole.
using Values = std::vector<std::uint64_t>;

inline constexpr std::uint64_t model_image_bytes = 20 * mib - 8 * kib;
inline const std::uint64_t model_block_count = replay::disk_block_count(model_image_bytes);
inline constexpr replay::LabelId model_vm{42};

class ValueBlocks : public replay::ImageBlocks {
  public:
    explicit ValueBlocks(Values& values) : values_(values) {}
    std::uint64_t image_bytes() const override { return model_image_bytes; }
    bool read_only() const override { return false; }
    Result<void> check_size() const override { return {}; }
    replay::BlockSet data() const override {
        replay::BlockSet blocks(model_block_count);
        for (replay::BlockIndex block = 0; block < model_block_count; ++block) {
            if (values_[block] != 0) blocks.insert(block);
        }
        return blocks;
    }
    Result<void> sync() override { return {}; }
    Result<void> read(replay::BlockIndex block, std::span<std::uint8_t> bytes) override {
        REQUIRE(bytes.size() == replay::bytes_of_block(block, model_image_bytes));
        std::ranges::fill(bytes, std::uint8_t{0});
        store_le(bytes, 0, values_[block]);
        // Some are worth compressing, some are not.
        std::uint64_t noise = values_[block];
        for (std::size_t at = 8; values_[block] % 3 == 1 && at + 8 <= bytes.size(); at += 8) {
            noise = noise * 6364136223846793005 + 1442695040888963407;
            store_le(bytes, at, noise);
        }
        return {};
    }
    Result<void> write(replay::BlockIndex block, std::span<const std::uint8_t> bytes) override {
        values_[block] = load_le<std::uint64_t>(bytes);
        return {};
    }

  private:
    Values& values_;
};

// What the last page of each label file was when the file was made durable last, by inode.
class DurablePages {
  public:
    using Words = std::array<std::uint64_t, replay::ProgressPage::word_count>;
    void note(int fd) {
        struct stat info {};
        REQUIRE(::fstat(fd, &info) == 0);
        Words& words = pages_[info.st_ino];
        const off_t at = info.st_size - static_cast<off_t>(page_size);
        REQUIRE(::pread(fd, words.data(), sizeof words, at) == sizeof words);
    }
    const Words& of(const std::string& path) {
        struct stat info {};
        REQUIRE(::stat(path.c_str(), &info) == 0);
        return pages_.at(info.st_ino);
    }

  private:
    std::map<ino_t, Words> pages_;
};

struct ResyncSide {
    TempFile unique;
    std::string path = unique.path() + ".fmvm";
    Values values = Values(model_block_count);
    Values synced = values;  // what a power loss leaves, at least
    ValueBlocks blocks{values};
    std::unique_ptr<replay::DirtyBlockMap> map;

    // Image and label as they were at some moment.
    struct Copy {
        Values values;
        std::string label;
    };
    std::optional<Copy> copy;

    ResyncSide() { open(); }
    ~ResyncSide() { std::filesystem::remove(path); }

    void open() {
        replay::DiskLabel fresh;
        fresh.vm = model_vm;
        fresh.image_bytes = model_image_bytes;
        std::string why;
        map.reset();
        map = replay::DirtyBlockMap::open(path, fresh, why).value();
        REQUIRE(why.empty());
    }
    void make_copy() {
        std::ifstream in(path, std::ios::binary);
        copy = Copy{values, {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()}};
    }
    // The host that has the copy may have been started since it was made.
    void put_back(bool other_boot) {
        map.reset();
        values = synced = copy->values;
        std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << copy->label;
        if (other_boot) change_boot();
        open();
    }
    void change_boot() const {
        replay::LabelFile file = replay::LabelFile::open(path).value();
        replay::DiskLabel label = file.label();
        label.boot[0] ^= 1;
        REQUIRE(file.write(label).ok());
    }
    // What was written since the last sync may be lost, and so may bits of the map, and how far the
    // pair had come.
    void lose_power(Random& random, DurablePages& pages) {
        map.reset();
        if (random() % 2 != 0) {
            std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
            file.seekp(-static_cast<std::streamoff>(page_size), std::ios::end);
            file.write(reinterpret_cast<const char*>(pages.of(path).data()),
                       sizeof(DurablePages::Words));
        }
        for (replay::BlockIndex block = 0; block < model_block_count; ++block) {
            if (random() % 2 != 0) values[block] = synced[block];
        }
        synced = values;
        {
            replay::LabelFile file = replay::LabelFile::open(path).value();
            for (std::uint64_t& word : file.blocks())
                word &= random();
        }
        change_boot();
        open();
    }
    void write(replay::BlockIndex block, std::uint64_t value) {
        REQUIRE(map->mark(block * replay::disk_block_bytes, 1).ok());
        values[block] = value;
        map->end_change(block * replay::disk_block_bytes, 1, false);
    }
};

}  // namespace fmvm::test
