// SPDX-License-Identifier: Apache-2.0
// UEFI Specification 2.10, chapter 5: "GUID Partition Table (GPT) Disk Layout", which has the MBR
// too. PARTUUID: Linux, block/partitions/efi.c and msdos.c.
#include "node/import/partition_table.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/little_endian.h"
#include "base/units.h"

namespace fmvm::node {

namespace {

using Bytes = std::span<const std::uint8_t>;
using Kind = PartitionTable::Kind;

namespace mbr {
constexpr std::size_t disk_signature = 440, entries = 446, entry_bytes = 16, boot_signature = 510;
constexpr unsigned entry_count = 4;
constexpr std::size_t type = 4, first_sector = 8, sector_count = 12;  // in an entry
constexpr std::uint16_t boot_signature_value = 0xaa55;
constexpr std::uint8_t type_none = 0, type_protective = 0xee;
constexpr std::array<std::uint8_t, 3> types_extended{0x05, 0x0f, 0x85};
}  // namespace mbr

namespace gpt {
constexpr std::uint64_t signature_value = 0x5452415020494645;  // "EFI PART"
constexpr std::size_t signature = 0, header_size = 12, header_crc = 16, this_sector = 24,
                      entries_sector = 72, entry_count = 80, entry_size = 84, entries_crc = 88;
constexpr std::uint32_t header_size_min = 92, entry_size_min = 128;
constexpr std::uint64_t table_bytes_max = mib;                                // 64 times the usual
constexpr std::size_t unique_guid = 16, first_sector = 32, last_sector = 40;  // in an entry
}  // namespace gpt

bool in_disk(std::uint64_t first, std::uint64_t sectors, const boot::ImageSource& disk) {
    return sectors > 0 && range_fits(first, sectors, disk.size() / sector_size);
}

Error damaged(const boot::ImageSource& disk, std::string_view how) {
    return disk.error("its partition table is damaged ({}); copy the image again", how);
}

// The mixed-endian text of a GUID (UEFI, appendix A), in the lower case that Linux has it in.
std::string guid_text(Bytes guid) {
    std::string text =
        fmt::format("{:08x}-{:04x}-{:04x}-", load_le<std::uint32_t>(guid, 0),
                    load_le<std::uint16_t>(guid, 4), load_le<std::uint16_t>(guid, 6));
    for (std::size_t i = 8; i < 16; ++i)
        text += fmt::format("{}{:02x}", i == 10 ? "-" : "", guid[i]);
    return text;
}

std::uint32_t crc_of(Bytes bytes) {
    return static_cast<std::uint32_t>(
        ::crc32(0, bytes.data(), static_cast<unsigned>(bytes.size())));
}

Result<std::vector<std::uint8_t>> read_gpt_entries(const boot::ImageSource& disk, Bytes header) {
    const std::uint64_t count = load_le<std::uint32_t>(header, gpt::entry_count);
    const std::uint64_t size = load_le<std::uint32_t>(header, gpt::entry_size);
    if (size < gpt::entry_size_min || size > gpt::table_bytes_max ||
        count > gpt::table_bytes_max / size) {
        return damaged(disk, "its number or size of entries");
    }
    const std::uint64_t sector = load_le<std::uint64_t>(header, gpt::entries_sector);
    if (sector > disk.size() / sector_size) return damaged(disk, "where its entries are");
    std::vector<std::uint8_t> entries(count * size);
    FMVM_TRY(disk.read(sector * sector_size, entries));
    if (crc_of(entries) != load_le<std::uint32_t>(header, gpt::entries_crc))
        return damaged(disk, "the checksum of its entries");
    return entries;
}

Result<PartitionTable> read_gpt(const boot::ImageSource& disk) {
    std::array<std::uint8_t, sector_size> header{};
    FMVM_TRY(disk.read(sector_size, header));
    if (load_le<std::uint64_t>(header, gpt::signature) != gpt::signature_value ||
        load_le<std::uint64_t>(header, gpt::this_sector) != 1) {
        return damaged(disk, "no GPT where its MBR promises one");
    }
    const auto size = load_le<std::uint32_t>(header, gpt::header_size);
    if (size < gpt::header_size_min || size > header.size())
        return damaged(disk, "the size of its header");
    const auto crc = load_le<std::uint32_t>(header, gpt::header_crc);
    store_le<std::uint32_t>(header, gpt::header_crc, 0);
    if (crc_of(Bytes(header).first(size)) != crc)
        return damaged(disk, "the checksum of its header");
    const std::vector<std::uint8_t> entries = FMVM_TRY(read_gpt_entries(disk, header));
    const std::size_t entry_size = load_le<std::uint32_t>(header, gpt::entry_size);
    PartitionTable table{Kind::gpt, {}};
    for (std::size_t at = 0; at < entries.size(); at += entry_size) {
        const Bytes entry = Bytes(entries).subspan(at, entry_size);
        if (std::ranges::all_of(entry.first(16), [](std::uint8_t byte) { return byte == 0; }))
            continue;  // its type: unused
        const auto first = load_le<std::uint64_t>(entry, gpt::first_sector);
        const auto last = load_le<std::uint64_t>(entry, gpt::last_sector);
        const auto number = static_cast<unsigned>(at / entry_size + 1);
        if (last < first || !in_disk(first, last - first + 1, disk))
            return damaged(disk, fmt::format("partition {} is not in the disk", number));
        table.partitions.push_back({number, guid_text(entry.subspan(gpt::unique_guid, 16))});
    }
    return table;
}

Result<PartitionTable> read_mbr(const boot::ImageSource& disk, Bytes sector) {
    PartitionTable table{Kind::mbr, {}};
    const auto signature = load_le<std::uint32_t>(sector, mbr::disk_signature);
    for (unsigned i = 0; i < mbr::entry_count; ++i) {
        const Bytes entry = sector.subspan(mbr::entries + i * mbr::entry_bytes, mbr::entry_bytes);
        const std::uint8_t type = entry[mbr::type];
        if (type == mbr::type_none || std::ranges::count(mbr::types_extended, type) > 0) continue;
        if (!in_disk(load_le<std::uint32_t>(entry, mbr::first_sector),
                     load_le<std::uint32_t>(entry, mbr::sector_count), disk)) {
            return damaged(disk, fmt::format("partition {} is not in the disk", i + 1));
        }
        table.partitions.push_back({i + 1, fmt::format("{:08x}-{:02x}", signature, i + 1)});
    }
    return table;
}

bool has_protective_entry(Bytes sector) {
    for (unsigned i = 0; i < mbr::entry_count; ++i) {
        if (sector[mbr::entries + i * mbr::entry_bytes + mbr::type] == mbr::type_protective)
            return true;
    }
    return false;
}

}  // namespace

Result<PartitionTable> read_partition_table(const boot::ImageSource& disk) {
    std::array<std::uint8_t, sector_size> sector{};
    FMVM_TRY(disk.read(0, sector));
    if (load_le<std::uint16_t>(sector, mbr::boot_signature) != mbr::boot_signature_value)
        return PartitionTable{};
    if (has_protective_entry(sector)) return read_gpt(disk);
    PartitionTable table = FMVM_TRY(read_mbr(disk, sector));
    if (table.partitions.empty()) table.kind = Kind::none;
    return table;
}

}  // namespace fmvm::node
