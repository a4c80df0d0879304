// SPDX-License-Identifier: Apache-2.0
// What fmvm import reads of an image: partition table, initial RAM disk, names. The first byte says
// what the rest is.
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/little_endian.h"
#include "base/units.h"
#include "node/import/image_format.h"
#include "node/import/image_reader.h"
#include "node/import/initrd_modules.h"
#include "node/import/kernel_choice.h"
#include "node/import/os_release.h"
#include "node/import/partition_table.h"

namespace {

using namespace fmvm;
using namespace fmvm::node;

std::uint32_t crc_of(std::span<const std::uint8_t> bytes) {
    return static_cast<std::uint32_t>(
        ::crc32(0, bytes.data(), static_cast<unsigned>(bytes.size())));
}

// A fuzzer does not find checksums: those of a GPT whose entries follow its header are made right.
void seal(std::span<std::uint8_t> disk) {
    constexpr std::size_t entries_at = 2 * sector_size, header_bytes = 92;
    if (disk.size() < entries_at) return;
    const auto header = disk.subspan(sector_size, sector_size);
    const std::uint64_t bytes =
        std::uint64_t{load_le<std::uint32_t>(header, 80)} * load_le<std::uint32_t>(header, 84);
    if (bytes > disk.size() - entries_at) return;
    store_le<std::uint32_t>(header, 12, header_bytes);
    store_le<std::uint32_t>(header, 88, crc_of(disk.subspan(entries_at, bytes)));
    store_le<std::uint32_t>(header, 16, 0);
    store_le<std::uint32_t>(header, 16, crc_of(header.first(header_bytes)));
}

void read_table(std::vector<std::uint8_t> disk) {
    seal(disk);
    const Result<PartitionTable> table = read_partition_table(boot::BytesSource("disk", disk));
    if (!table.ok()) return;
    for (const Partition& partition : table.value().partitions)
        FMVM_CHECK(partition.number > 0 && partition.partuuid.size() >= 11);
}

void read_names(std::string_view text) {
    const std::vector<std::string> names = harmless_names(text);
    if (const auto kernel = newest_kernel(names)) {
        FMVM_CHECK(std::ranges::count(names, kernel->kernel) > 0);
        FMVM_CHECK(kernel->kernel.find('/') == std::string::npos);
    }
    for (const char character : system_name(text))
        FMVM_CHECK(character >= ' ' && character <= '~');
}

void read_start(std::span<const std::uint8_t> image) {
    const auto start = image.first(std::min<std::size_t>(image.size(), sector_size));
    for (const auto format : {ImageFormat::qcow2, ImageFormat::vmdk, ImageFormat::vhdx}) {
        const Result<void> checked = check_image_start(format, start, image.size());
        FMVM_CHECK(checked.ok() || !checked.error().message().empty());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::span rest(data + 1, size - 1);
    switch (data[0] % 4) {
        case 0:
            read_table({rest.begin(), rest.end()});
            break;
        case 1:
            modules_not_in(rest, {"virtio_mmio", "virtio_blk"}, 4 * mib);
            break;
        case 2:
            read_names({reinterpret_cast<const char*>(rest.data()), rest.size()});
            break;
        default:
            read_start(rest);
    }
    return 0;
}
