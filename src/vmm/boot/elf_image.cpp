// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/elf_image.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <string_view>

#include "base/little_endian.h"

namespace fmvm::boot {

using namespace std::string_view_literals;

namespace {

constexpr std::uint16_t segment_count_max = 128;  // Linux has 5
constexpr std::uint64_t notes_size_max = mib;     // Linux has about 600 bytes
constexpr std::uint32_t xen_phys32_entry = 18;    // XEN_ELFNOTE_PHYS32_ENTRY

Result<Elf64_Ehdr> read_elf_header(const ImageSource& source) {
    using Ident = std::array<unsigned char, EI_NIDENT>;
    const auto ident = FMVM_TRY(source.read_object<Ident>(0));
    if (ident[EI_CLASS] == ELFCLASS32) {
        return source.error("is a 32-bit ELF file; fmvm starts 64-bit x86-64 kernels only");
    }
    if (ident[EI_DATA] == ELFDATA2MSB) {
        return source.error("is a big-endian ELF file; fmvm starts x86-64 kernels only");
    }
    if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB) {
        return source.error("has a damaged ELF header; copy it again");
    }
    const auto header = FMVM_TRY(source.read_object<Elf64_Ehdr>(0));
    if (header.e_machine != EM_X86_64) {
        return source.error(
            "is for another processor (ELF machine {}); fmvm starts x86-64 "
            "kernels only",
            header.e_machine);
    }
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
        return source.error("is not a linked program (ELF type {}); give the linked vmlinux",
                            header.e_type);
    }
    if (header.e_phnum != 0 && header.e_phentsize != sizeof(Elf64_Phdr)) {
        return source.error("has ELF program headers of {} bytes instead of {}; copy it again",
                            header.e_phentsize, sizeof(Elf64_Phdr));
    }
    if (header.e_phnum > segment_count_max) {
        return source.error("has {} ELF program headers, more than any kernel; copy it again",
                            header.e_phnum);
    }
    return header;
}

Result<GuestAddress> decode_entry_note(const ImageSource& source,
                                       std::span<const std::uint8_t> value) {
    std::uint64_t entry = 0;
    if (value.size() == sizeof(std::uint32_t)) {
        entry = load_le<std::uint32_t>(value);
    } else if (value.size() == sizeof(std::uint64_t)) {
        entry = load_le<std::uint64_t>(value);
    } else {
        return source.error("has a PVH entry note of {} bytes instead of 4 or 8; copy it again",
                            value.size());
    }
    if (entry > std::numeric_limits<std::uint32_t>::max()) {
        return source.error(
            "has a PVH entry point at {:#x}, which 32-bit code cannot reach; "
            "link it below 4 GiB",
            entry);
    }
    return GuestAddress(entry);
}

// ELF notes: three words (name size, value size, type), the name, the value. Name and value are
// padded to `alignment`.
Result<std::optional<GuestAddress>> find_pvh_entry(const ImageSource& source,
                                                   std::span<const std::uint8_t> notes,
                                                   std::uint64_t alignment) {
    constexpr std::string_view xen_name = "Xen\0"sv;  // with its NUL
    std::uint64_t offset = 0;
    while (range_fits(offset, sizeof(Elf64_Nhdr), notes.size())) {
        const std::uint64_t name_size = load_le<std::uint32_t>(notes, offset);
        const std::uint64_t value_size = load_le<std::uint32_t>(notes, offset + 4);
        const auto type = load_le<std::uint32_t>(notes, offset + 8);
        const std::uint64_t name_at = offset + sizeof(Elf64_Nhdr);
        const std::uint64_t value_at = align_up(name_at + name_size, alignment);
        if (!range_fits(value_at, value_size, notes.size())) {
            return source.error("has damaged ELF notes; copy it again");
        }
        const std::string_view name(reinterpret_cast<const char*>(notes.data() + name_at),
                                    name_size);
        if (type == xen_phys32_entry && name == xen_name) {
            return std::optional(
                FMVM_TRY(decode_entry_note(source, notes.subspan(value_at, value_size))));
        }
        offset = align_up(value_at + value_size, alignment);
    }
    return std::optional<GuestAddress>();
}

Result<std::optional<GuestAddress>> read_pvh_entry(const ImageSource& source,
                                                   const Elf64_Phdr& segment) {
    if (segment.p_filesz > notes_size_max) {
        return source.error("has {} bytes of ELF notes, more than any kernel; copy it again",
                            segment.p_filesz);
    }
    std::vector<std::uint8_t> notes(segment.p_filesz);
    FMVM_TRY(source.read(segment.p_offset, notes));
    const auto packed = find_pvh_entry(source, notes, 4);
    if (segment.p_align != 8 || (packed.ok() && packed.value())) return packed;
    // The GNU property note is padded to 8 bytes. A linker that puts it into one segment with notes
    // padded to 4 gives the segment an alignment of 8, so the alignment does not tell the padding.
    const auto padded = find_pvh_entry(source, notes, 8);
    return padded.ok() ? padded : packed;
}

}  // namespace

bool is_elf(const ImageSource& source) {
    const auto magic = source.read_object<std::array<char, SELFMAG>>(0);
    return magic.ok() && std::memcmp(magic.value().data(), ELFMAG, SELFMAG) == 0;
}

Result<ElfImage> parse_elf(const ImageSource& source) {
    const Elf64_Ehdr header = FMVM_TRY(read_elf_header(source));
    std::vector<Elf64_Phdr> program_headers(header.e_phnum);
    FMVM_TRY(source.read(header.e_phoff, {reinterpret_cast<std::uint8_t*>(program_headers.data()),
                                          program_headers.size() * sizeof(Elf64_Phdr)}));
    ElfImage image;
    image.entry = GuestAddress(header.e_entry);
    for (const Elf64_Phdr& segment : program_headers) {
        if (segment.p_type == PT_LOAD && segment.p_memsz != 0) image.segments.push_back(segment);
        if (segment.p_type == PT_NOTE && !image.pvh_entry) {
            image.pvh_entry = FMVM_TRY(read_pvh_entry(source, segment));
        }
    }
    if (image.segments.empty()) {
        return source.error("has no segment to load; give the linked vmlinux");
    }
    std::ranges::sort(image.segments, std::greater(), &Elf64_Phdr::p_paddr);
    return image;
}

Result<void> load_elf(const ImageSource& source, const ElfImage& image, GuestMemory& memory,
                      Placement& placement) {
    // Every claim before the first byte: a refused image leaves guest memory as it was.
    for (const Elf64_Phdr& segment : image.segments) {
        if (segment.p_filesz > segment.p_memsz) {
            return source.error(
                "has an ELF segment with more bytes in the file ({}) than in "
                "memory ({}); copy it again",
                segment.p_filesz, segment.p_memsz);
        }
        if (!range_fits(segment.p_offset, segment.p_filesz, source.size())) {
            return source.error(
                "is truncated: an ELF segment needs {} bytes at offset {}, it has "
                "{}; copy it again",
                segment.p_filesz, segment.p_offset, source.size());
        }
        FMVM_TRY(
            placement.claim(source, "its segment", GuestAddress(segment.p_paddr), segment.p_memsz));
    }
    for (const Elf64_Phdr& segment : image.segments) {
        FMVM_TRY(source.read_to_guest(segment.p_offset, segment.p_filesz, memory,
                                      GuestAddress(segment.p_paddr)));
    }
    return {};
}

}  // namespace fmvm::boot
