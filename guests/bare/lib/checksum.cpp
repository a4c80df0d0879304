// SPDX-License-Identifier: Apache-2.0
#include "checksum.h"

#include <array>

namespace bare {
namespace {

constexpr uint32_t kPolynomial = 0xedb88320;  // reflected, IEEE 802.3
constexpr size_t kSlices = 8;

// tables[k][b]: byte b followed by k zero bytes, so that eight bytes are looked up independently.
constexpr auto make_tables() {
    std::array<std::array<uint32_t, 256>, kSlices> tables{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit)
            crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
        tables[0][byte] = crc;
    }
    for (size_t slice = 1; slice < kSlices; ++slice) {
        for (size_t byte = 0; byte < 256; ++byte) {
            const uint32_t before = tables[slice - 1][byte];
            tables[slice][byte] = before >> 8 ^ tables[0][before & 0xff];
        }
    }
    return tables;
}

constexpr auto kTables = make_tables();

}  // namespace

uint32_t crc32(const void* data, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    uint32_t crc = ~uint32_t{0};
    for (; size >= kSlices; size -= kSlices, bytes += kSlices) {
        uint64_t word;
        __builtin_memcpy(&word, bytes, sizeof word);
        word ^= crc;
        crc = 0;
        for (size_t i = 0; i < kSlices; ++i)
            crc ^= kTables[kSlices - 1 - i][word >> 8 * i & 0xff];
    }
    for (; size > 0; --size)
        crc = crc >> 8 ^ kTables[0][(crc ^ *bytes++) & 0xff];
    return ~crc;
}

}  // namespace bare
