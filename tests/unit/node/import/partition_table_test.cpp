// SPDX-License-Identifier: Apache-2.0
#include "node/import/partition_table.h"

#include <zlib.h>

#include <catch2/catch.hpp>
#include <functional>
#include <numeric>

#include "base/little_endian.h"
#include "base/units.h"

using namespace fmvm;
using namespace fmvm::node;
using Kind = PartitionTable::Kind;

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t sectors = 4096, entry_count = 128, entry_bytes = 128;
constexpr std::size_t entries_at = 2 * sector_size;

Result<PartitionTable> parse(const Bytes& disk) {
    return read_partition_table(boot::BytesSource("disk", disk));
}

std::string table_refusal(const Bytes& disk) {
    const Result<PartitionTable> table = parse(disk);
    return table.ok() ? "" : table.error().message();
}

void set_mbr_entry(Bytes& disk, unsigned index, std::uint8_t type, std::uint32_t first,
                   std::uint32_t count) {
    const std::size_t at = 446 + index * 16;
    disk[at + 4] = type;
    store_le<std::uint32_t>(disk, at + 8, first);
    store_le<std::uint32_t>(disk, at + 12, count);
    store_le<std::uint16_t>(disk, 510, 0xaa55);
}

Bytes mbr_disk() {
    Bytes disk(sectors * sector_size);
    store_le<std::uint32_t>(disk, 440, 0x1234abcd);
    set_mbr_entry(disk, 0, 0x83, 2048, 1024);
    set_mbr_entry(disk, 2, 0x83, 3072, 1024);
    return disk;
}

std::uint32_t crc_of(const std::uint8_t* bytes, std::size_t size) {
    return static_cast<std::uint32_t>(::crc32(0, bytes, static_cast<unsigned>(size)));
}

// As its header says it is; a hostile header may say what it likes.
void seal(Bytes& disk) {
    std::uint8_t* const header = disk.data() + sector_size;
    store_le<std::uint32_t>(disk, sector_size + 88,
                            crc_of(disk.data() + entries_at, entry_count * entry_bytes));
    store_le<std::uint32_t>(disk, sector_size + 16, 0);
    store_le<std::uint32_t>(disk, sector_size + 16, crc_of(header, 92));
}

void set_gpt_entry(Bytes& disk, unsigned index, std::uint64_t first, std::uint64_t last) {
    const std::size_t at = entries_at + index * entry_bytes;
    std::fill_n(disk.begin() + static_cast<std::ptrdiff_t>(at), 16, 0x42);
    std::iota(disk.begin() + static_cast<std::ptrdiff_t>(at) + 16,
              disk.begin() + static_cast<std::ptrdiff_t>(at) + 32, std::uint8_t{0xa0});
    store_le<std::uint64_t>(disk, at + 32, first);
    store_le<std::uint64_t>(disk, at + 40, last);
}

Bytes gpt_disk() {
    Bytes disk(sectors * sector_size);
    set_mbr_entry(disk, 0, 0xee, 1, sectors - 1);
    store_le<std::uint64_t>(disk, sector_size, 0x5452415020494645);
    store_le<std::uint32_t>(disk, sector_size + 12, 92);
    store_le<std::uint64_t>(disk, sector_size + 24, 1);
    store_le<std::uint64_t>(disk, sector_size + 72, 2);
    store_le<std::uint32_t>(disk, sector_size + 80, entry_count);
    store_le<std::uint32_t>(disk, sector_size + 84, entry_bytes);
    set_gpt_entry(disk, 0, 2048, 3071);
    set_gpt_entry(disk, 14, 3072, sectors - 1);
    seal(disk);
    return disk;
}

Bytes changed(Bytes disk, const std::function<void(Bytes&)>& change, bool sealed = true) {
    change(disk);
    if (sealed) seal(disk);
    return disk;
}

}  // namespace

TEST_CASE("partition table: MBR", "[cli]") {
    const PartitionTable table = parse(mbr_disk()).value();
    CHECK(table.kind == Kind::mbr);
    CHECK(table.partitions == std::vector<Partition>{{1, "1234abcd-01"}, {3, "1234abcd-03"}});
}

TEST_CASE("partition table: GPT", "[cli]") {
    const PartitionTable table = parse(gpt_disk()).value();
    CHECK(table.kind == Kind::gpt);
    const std::string guid = "a3a2a1a0-a5a4-a7a6-a8a9-aaabacadaeaf";
    CHECK(table.partitions == std::vector<Partition>{{1, guid}, {15, guid}});
}

TEST_CASE("partition table: none", "[cli]") {
    CHECK(parse(Bytes(sectors * sector_size)).value().kind == Kind::none);
    Bytes boot_sector_only(sectors * sector_size);
    store_le<std::uint16_t>(boot_sector_only, 510, 0xaa55);
    CHECK(parse(boot_sector_only).value().kind == Kind::none);
    CHECK_THAT(table_refusal(Bytes(511)), Catch::Contains("truncated"));
}

TEST_CASE("partition table: an extended MBR partition is passed over", "[cli]") {
    Bytes disk = mbr_disk();
    set_mbr_entry(disk, 1, 0x05, 0xffffffff, 0xffffffff);
    CHECK(parse(disk).value().partitions.size() == 2);
}

TEST_CASE("partition table: a partition outside the disk is refused", "[cli]") {
    Bytes disk = mbr_disk();
    set_mbr_entry(disk, 1, 0x83, 0xffffffff, 0xffffffff);
    CHECK_THAT(table_refusal(disk), Catch::Contains("partition 2 is not in the disk"));
    set_mbr_entry(disk, 1, 0x83, sectors - 1, 2);
    CHECK_THAT(table_refusal(disk), Catch::Contains("partition 2 is not in the disk"));
    set_mbr_entry(disk, 1, 0x83, sectors - 1, 0);
    CHECK_THAT(table_refusal(disk), Catch::Contains("partition 2 is not in the disk"));
    const std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges{
        {0, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}, {UINT64_MAX, 0}, {3000, 2999}, {4095, 4096}};
    for (const auto& [first, last] : ranges) {
        CAPTURE(first, last);
        CHECK_THAT(
            table_refusal(changed(gpt_disk(), [&](Bytes& d) { set_gpt_entry(d, 1, first, last); })),
            Catch::Contains("partition 2 is not in the disk"));
    }
}

TEST_CASE("partition table: a hostile or damaged GPT is refused", "[cli]") {
    const auto with = [](std::size_t at, auto value, bool sealed = true) {
        return table_refusal(changed(
            gpt_disk(), [&](Bytes& d) { store_le(std::span(d), sector_size + at, value); },
            sealed));
    };
    CHECK_THAT(with(0, std::uint64_t{0}), Catch::Contains("no GPT"));
    CHECK_THAT(with(24, std::uint64_t{7}), Catch::Contains("no GPT"));
    for (const std::uint32_t size : {0u, 91u, 513u, 0xffffffffu})
        CHECK_THAT(with(12, size), Catch::Contains("size of its header"));
    CHECK_THAT(with(16, std::uint32_t{1}, false), Catch::Contains("checksum of its header"));
    for (const std::uint32_t size : {0u, 127u, 0xffffffffu})
        CHECK_THAT(with(84, size), Catch::Contains("number or size of entries"));
    for (const std::uint32_t count : {8193u, 0xffffffffu})
        CHECK_THAT(with(80, count), Catch::Contains("number or size of entries"));
    CHECK_THAT(with(72, UINT64_MAX), Catch::Contains("where its entries are"));
    CHECK_THAT(with(72, std::uint64_t{sectors - 1}), Catch::Contains("truncated"));
    CHECK_THAT(table_refusal(changed(
                   gpt_disk(), [](Bytes& d) { d[entries_at] ^= 1; }, false)),
               Catch::Contains("checksum of its entries"));
    Bytes short_disk = gpt_disk();
    short_disk.resize(sector_size);
    CHECK_THAT(table_refusal(short_disk), Catch::Contains("truncated"));
}
