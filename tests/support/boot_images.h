// SPDX-License-Identifier: Apache-2.0
// Kernel images made in memory: what the tests and the fuzz target of the loaders feed them.
#pragma once

#include <asm/bootparam.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/boot/decompress.h"

namespace fmvm::test {

using Bytes = std::vector<std::uint8_t>;

struct ElfSegment {
    std::uint64_t address = 0x100000;
    Bytes bytes{};
    std::uint64_t memory_size = 0;  // 0: as many as there are bytes
};

struct ElfSpec {
    std::vector<ElfSegment> segments{{.bytes = Bytes(64, 0x90)}};
    std::uint64_t entry = 0x100000;
    std::optional<Bytes> notes = std::nullopt;  // content of a PT_NOTE segment
    std::uint64_t note_alignment = 4;
};
Bytes make_elf(const ElfSpec& spec = ElfSpec());

// One ELF note, padded to the alignment.
Bytes make_note(const std::string& name, std::uint32_t type, std::span<const std::uint8_t> value,
                std::uint64_t alignment = 4);
// Xen's PHYS32_ENTRY with an 8-byte value, as Linux writes it.
Bytes make_pvh_note(std::uint64_t entry);

// The setup header of a 64-bit bzImage; make_bzimage() fills in the payload fields and syssize.
setup_header make_setup_header();
struct BzImageSpec {
    setup_header header = make_setup_header();
    Bytes payload{};
    std::size_t stub_size = 0x300;  // the decompressor in front of the payload
};
Bytes make_bzimage(const BzImageSpec& spec);

// As the kernel build does it, with the unpacked size appended (to all but gzip).
Bytes compress(boot::Compression compression, std::span<const std::uint8_t> plain);

template <typename T>
void patch(Bytes& bytes, std::size_t offset, T value) {
    if (bytes.size() < offset + sizeof value) bytes.resize(offset + sizeof value);
    std::memcpy(bytes.data() + offset, &value, sizeof value);
}

// size bytes that neither repeat nor compress away.
Bytes noise(std::size_t size, std::uint32_t seed = 1);

}  // namespace fmvm::test
