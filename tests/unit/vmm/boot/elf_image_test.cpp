// SPDX-License-Identifier: Apache-2.0
#include <elf.h>

#include "support/boot_machine.h"

using namespace fmvm;
using Catch::Matchers::Contains;
using test::BootMachine;
using test::Bytes;

namespace {

constexpr std::size_t first_segment = sizeof(Elf64_Ehdr);

Bytes elf_with(std::size_t offset, auto value) {
    Bytes image = test::make_elf();
    test::patch(image, offset, value);
    return image;
}

}  // namespace

TEST_CASE("an ELF with a PVH note starts there") {
    const Bytes code = test::noise(5000);
    BootMachine machine;
    const auto entry = machine.load(
        test::make_elf({.segments = {{.address = 0x200000, .bytes = code, .memory_size = 90'000},
                                     {.address = 0x300010, .bytes = {1, 2, 3}}},
                        .entry = 0x200000,
                        .notes = test::make_pvh_note(0x200040)}));
    REQUIRE(entry.ok());
    CHECK(entry.value().protocol == BootProtocol::pvh);
    CHECK(entry.value().entry == GuestAddress(0x200040));
    CHECK(entry.value().info == layout::hvm_start_info);
    CHECK(machine.peek_bytes(GuestAddress(0x200000), code.size()) == code);
    CHECK(machine.peek_bytes(GuestAddress(0x300010), 3) == Bytes{1, 2, 3});
    CHECK(machine.peek_bytes(GuestAddress(0x200000 + 5000), 85'000) == Bytes(85'000, 0));
}

TEST_CASE("only the pages that were written are marked dirty") {
    BootMachine machine;
    REQUIRE(machine
                .load(test::make_elf({.segments = {{.address = 0x200000,
                                                    .bytes = Bytes(4097, 1),
                                                    .memory_size = 1'000'000}},
                                      .entry = 0x200000,
                                      .notes = test::make_pvh_note(0x200000)}))
                .ok());
    std::vector<std::size_t> dirty;
    const auto marks = machine.memory.take_dirty_marks();
    for (std::size_t page = 0; page < marks.size() * 64; ++page) {
        if ((marks[page / 64] >> (page % 64) & 1) != 0) dirty.push_back(page);
    }
    CHECK(dirty == std::vector<std::size_t>{0x1, 0x20, 0x200, 0x201});
}

TEST_CASE("an ELF without the note uses the 64-bit Linux protocol") {
    Bytes notes = test::make_note("GNU", 3, Bytes(20, 7));
    const Bytes other_xen = test::make_note("Xen", 6, Bytes{'l', 'i', 'n', 'u', 'x', 0});
    const Bytes other_name = test::make_note("Yen", 18, Bytes(8, 0));
    notes.insert(notes.end(), other_xen.begin(), other_xen.end());
    notes.insert(notes.end(), other_name.begin(), other_name.end());
    BootMachine machine;
    const auto entry = machine.load(test::make_elf({.notes = notes}));
    REQUIRE(entry.ok());
    CHECK(entry.value().protocol == BootProtocol::linux64);
    CHECK(entry.value().entry == GuestAddress(0x100000));
    CHECK(entry.value().info == layout::zero_page);
}

TEST_CASE("the PVH note is found behind others, in either alignment and size") {
    const std::uint64_t alignment = GENERATE(4u, 8u);
    const std::size_t size = GENERATE(4u, 8u);
    Bytes value(size);
    test::patch<std::uint32_t>(value, 0, 0x100020);
    Bytes notes = test::make_note("GNU", 5, Bytes(12, 1), alignment);
    const Bytes pvh = test::make_note("Xen", 18, value, alignment);
    notes.insert(notes.end(), pvh.begin(), pvh.end());
    BootMachine machine;
    const auto entry = machine.load(test::make_elf({.notes = notes, .note_alignment = alignment}));
    REQUIRE(entry.ok());
    CHECK(entry.value().protocol == BootProtocol::pvh);
    CHECK(entry.value().entry == GuestAddress(0x100020));
}

TEST_CASE("the PVH note is found in a segment of alignment 8 whose notes are padded to 4") {
    Bytes notes = test::make_note("GNU", 5, Bytes(16, 1), 8);
    const Bytes build_id = test::make_note("GNU", 3, Bytes(20, 7), 4);
    const Bytes version = test::make_note("Linux", 0x101, Bytes(4, 0), 4);
    const Bytes pvh = test::make_note("Xen", 18, Bytes{0x20, 0, 0x10, 0}, 4);
    for (const Bytes* note : {&build_id, &version, &pvh, &version})
        notes.insert(notes.end(), note->begin(), note->end());
    BootMachine machine;
    const auto entry = machine.load(test::make_elf({.notes = notes, .note_alignment = 8}));
    REQUIRE(entry.ok());
    CHECK(entry.value().protocol == BootProtocol::pvh);
    CHECK(entry.value().entry == GuestAddress(0x100020));
}

TEST_CASE("damaged notes are refused") {
    BootMachine machine;
    const auto refusal = [&](Bytes notes) {
        return machine.refusal(test::make_elf({.notes = std::move(notes)}));
    };
    Bytes cut = test::make_pvh_note(0x100000);
    cut.resize(cut.size() - 4);
    CHECK_THAT(refusal(cut), Contains("damaged ELF notes"));
    for (const std::size_t field : {0u, 4u}) {
        Bytes notes = test::make_pvh_note(0x100000);
        test::patch<std::uint32_t>(notes, field, 0xffffffff);
        CHECK_THAT(refusal(notes), Contains("damaged ELF notes"));
    }
    CHECK_THAT(refusal(test::make_note("Xen", 18, Bytes(5))),
               Contains("5 bytes instead of 4 or 8"));
    CHECK_THAT(refusal(test::make_pvh_note(0x1'0010'0000)), Contains("32-bit code cannot reach"));
    CHECK_THAT(refusal(Bytes(2 * mib)), Contains("bytes of ELF notes"));
}

TEST_CASE("what is not an x86-64 ELF program is named for what it is") {
    BootMachine machine;
    CHECK_THAT(machine.refusal(elf_with(EI_CLASS, std::uint8_t{ELFCLASS32})), Contains("32-bit"));
    CHECK_THAT(machine.refusal(elf_with(EI_DATA, std::uint8_t{ELFDATA2MSB})),
               Contains("big-endian"));
    CHECK_THAT(machine.refusal(elf_with(EI_CLASS, std::uint8_t{9})), Contains("damaged"));
    CHECK_THAT(machine.refusal(elf_with(offsetof(Elf64_Ehdr, e_machine), Elf64_Half{EM_AARCH64})),
               Contains("another processor (ELF machine 183)"));
    CHECK_THAT(machine.refusal(elf_with(offsetof(Elf64_Ehdr, e_type), Elf64_Half{ET_REL})),
               Contains("not a linked program"));
    CHECK_THAT(machine.refusal(elf_with(offsetof(Elf64_Ehdr, e_phentsize), Elf64_Half{32})),
               Contains("program headers of 32 bytes"));
    CHECK_THAT(machine.refusal(elf_with(offsetof(Elf64_Ehdr, e_phnum), Elf64_Half{0xffff})),
               Contains("65535 ELF program headers"));
    CHECK_THAT(machine.refusal(elf_with(offsetof(Elf64_Ehdr, e_phnum), Elf64_Half{0})),
               Contains("no segment to load"));
    CHECK_THAT(machine.refusal(Bytes(100, 'x')), Contains("neither an ELF vmlinux nor a bzImage"));
    CHECK_THAT(machine.refusal(Bytes{}), Contains("neither an ELF vmlinux nor a bzImage"));
}

TEST_CASE("an ELF cut anywhere is refused") {
    const Bytes image = test::make_elf({.notes = test::make_pvh_note(0x100000)});
    BootMachine machine;
    for (std::size_t size = 4; size < image.size(); ++size) {
        CAPTURE(size);
        REQUIRE_THAT(machine.refusal(Bytes(image.begin(), image.begin() + long(size))),
                     Contains("is truncated"));
    }
    REQUIRE(machine.load(image).ok());
}

TEST_CASE("hostile offsets in an ELF header") {
    const std::uint64_t hostile = GENERATE(0xffffffffffffffffu, 0x8000000000000000u, 1u << 31);
    BootMachine machine;
    CHECK_THAT(machine.refusal(elf_with(offsetof(Elf64_Ehdr, e_phoff), hostile)),
               Contains("is truncated"));
    CHECK_THAT(machine.refusal(elf_with(first_segment + offsetof(Elf64_Phdr, p_offset), hostile)),
               Contains("is truncated"));
    CHECK_THAT(machine.refusal(elf_with(first_segment + offsetof(Elf64_Phdr, p_filesz), hostile)),
               Contains("more bytes in the file"));
    CHECK(machine.refusal(elf_with(first_segment + offsetof(Elf64_Phdr, p_memsz), hostile)) !=
          "accepted");
    CHECK(machine.refusal(elf_with(first_segment + offsetof(Elf64_Phdr, p_paddr), hostile)) !=
          "accepted");
    CHECK_THAT(machine.refusal(elf_with(offsetof(Elf64_Ehdr, e_entry), hostile)),
               Contains("where it has no code"));
}

TEST_CASE("segments outside RAM say how much memory would do") {
    const auto refusal = [](std::uint64_t address, std::uint64_t size) {
        BootMachine machine;
        return machine.refusal(test::make_elf(
            {.segments = {{.address = address, .bytes = {0xf4}, .memory_size = size}},
             .entry = address}));
    };
    CHECK_THAT(refusal(8 * mib - 1, 2), Contains("--memory 9M"));
    CHECK_THAT(refusal(16 * mib, 4 * mib), Contains("--memory 20M"));
    CHECK_THAT(refusal(4 * gib, mib), Contains("--memory 3073M"));
    CHECK_THAT(refusal(0xbff00000, 2 * mib), Contains("never has RAM"));
    CHECK_THAT(refusal(0xd0000000, mib), Contains("never has RAM"));
    CHECK_THAT(refusal(0xffffffff81000000, mib), Contains("never has RAM"));
    CHECK_THAT(refusal(0xffffffff81000000, 0xf0000000), Contains("wraps around"));
    CHECK_THAT(refusal(0xff000, 0x2000), Contains("below 1 MiB"));
    CHECK_THAT(refusal(0, 1), Contains("below 1 MiB"));
    CHECK(refusal(8 * mib - 1, 1) == "accepted");
}

TEST_CASE("the memory asked for does for all segments") {
    BootMachine machine;
    CHECK_THAT(machine.refusal(test::make_elf({.segments = {{.address = 20 * mib, .bytes = {1}},
                                                            {.address = 40 * mib, .bytes = {2}},
                                                            {.address = 30 * mib, .bytes = {3}}},
                                               .entry = 20 * mib})),
               Contains("--memory 41M"));
}

TEST_CASE("overlapping segments are refused and nothing is written") {
    BootMachine machine;
    CHECK_THAT(
        machine.refusal(test::make_elf({.segments = {{.address = 0x200000, .bytes = Bytes(100, 1)},
                                                     {.address = 0x200063, .bytes = Bytes(100, 2)}},
                                        .entry = 0x200000})),
        Contains("overlaps another part at 0x200063"));
    CHECK(machine.peek_bytes(GuestAddress(0x200000), 256) == Bytes(256, 0));
}
