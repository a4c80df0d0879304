// SPDX-License-Identifier: Apache-2.0
// What the guest is told: command line, initrd, hvm_start_info, boot_params.
#include "vmm/boot/placement.h"
#include "support/boot_machine.h"

using namespace fmvm;
using Catch::Matchers::Contains;
using test::BootMachine;
using test::Bytes;

namespace {

const Bytes pvh_kernel = test::make_elf({.notes = test::make_pvh_note(0x100000)});
const Bytes linux64_kernel = test::make_elf();

Bytes linux64_image_with(void (*change)(setup_header&)) {
    test::BzImageSpec spec{.payload = test::compress(boot::Compression::gzip, linux64_kernel)};
    change(spec.header);
    return test::make_bzimage(spec);
}

}  // namespace

TEST_CASE("hvm_start_info holds what PVH guests look for") {
    BootMachine machine(16);
    const Bytes initrd = test::noise(10'000);
    REQUIRE(machine.load(pvh_kernel, initrd, "a=b c").ok());
    const GuestAddress info = layout::hvm_start_info;
    CHECK(machine.peek<std::uint32_t>(info) == 0x336ec578);
    CHECK(machine.peek<std::uint32_t>(info + 4) == 1);
    CHECK(machine.peek<std::uint32_t>(info + 8) == 0);
    CHECK(machine.peek<std::uint64_t>(info + 32) == machine.rsdp.value());

    REQUIRE(machine.peek<std::uint32_t>(info + 12) == 1);
    const GuestAddress module(machine.peek<std::uint64_t>(info + 16));
    const GuestAddress start(machine.peek<std::uint64_t>(module));
    CHECK(start == GuestAddress(16 * mib - 3 * page_size));
    CHECK(machine.peek<std::uint64_t>(module + 8) == initrd.size());
    CHECK(machine.peek_bytes(start, initrd.size()) == initrd);

    const GuestAddress command_line(machine.peek<std::uint64_t>(info + 24));
    CHECK(machine.peek_bytes(command_line, 6) == Bytes{'a', '=', 'b', ' ', 'c', 0});

    const auto map = layout::memory_map(machine.memory);
    const GuestAddress entries(machine.peek<std::uint64_t>(info + 40));
    REQUIRE(machine.peek<std::uint32_t>(info + 48) == map.size());
    for (std::size_t i = 0; i < map.size(); ++i) {
        CHECK(machine.peek<std::uint64_t>(entries + 24 * i) == map[i].start.value());
        CHECK(machine.peek<std::uint64_t>(entries + 24 * i + 8) == map[i].size);
        CHECK(machine.peek<std::uint64_t>(entries + 24 * i + 16) == map[i].type);
    }
}

TEST_CASE("without an initrd there is no module") {
    BootMachine machine;
    REQUIRE(machine.load(pvh_kernel).ok());
    CHECK(machine.peek<std::uint32_t>(layout::hvm_start_info + 12) == 0);
    CHECK(machine.peek<std::uint64_t>(layout::hvm_start_info + 16) == 0);
}

TEST_CASE("boot_params holds what Linux looks for") {
    BootMachine machine(16);
    const Bytes initrd = test::noise(4096);
    REQUIRE(machine.load(linux64_kernel, initrd, "root=/dev/vda").ok());
    const auto params = machine.peek<boot_params>(layout::zero_page);
    CHECK(std::uint32_t{params.hdr.header} == 0x53726448);
    CHECK(std::uint16_t{params.hdr.boot_flag} == 0xaa55);
    CHECK(params.hdr.type_of_loader == 0xff);
    CHECK((params.hdr.loadflags & LOADED_HIGH) != 0);
    CHECK(std::uint64_t{params.acpi_rsdp_addr} == machine.rsdp.value());
    CHECK(std::uint32_t{params.hdr.cmd_line_ptr} == layout::command_line.value());
    CHECK(machine.peek_bytes(layout::command_line, 5) == Bytes{'r', 'o', 'o', 't', '='});
    CHECK(std::uint32_t{params.hdr.ramdisk_image} == 16 * mib - page_size);
    CHECK(std::uint32_t{params.hdr.ramdisk_size} == initrd.size());

    const auto map = layout::memory_map(machine.memory);
    REQUIRE(params.e820_entries == map.size());
    for (std::size_t i = 0; i < map.size(); ++i) {
        CHECK(std::uint64_t{params.e820_table[i].addr} == map[i].start.value());
        CHECK(std::uint64_t{params.e820_table[i].size} == map[i].size);
        CHECK(std::uint32_t{params.e820_table[i].type} == map[i].type);
    }
}

TEST_CASE("the initrd keeps below what the kernel accepts") {
    BootMachine machine(16);
    const auto image = linux64_image_with([](setup_header& h) { h.initrd_addr_max = 0x6fffff; });
    REQUIRE(machine.load(image, Bytes(5000)).ok());
    const auto params = machine.peek<boot_params>(layout::zero_page);
    CHECK(std::uint32_t{params.hdr.ramdisk_image} == 0x6fe000);

    CHECK_THAT(BootMachine(16).refusal(image, Bytes(6 * mib)),
               Contains("initrd test: 6 MiB do not fit between the kernel and 0x700000"));
    CHECK_THAT(BootMachine(16).refusal(
                   linux64_image_with([](setup_header& h) { h.initrd_addr_max = 0; }), Bytes(1)),
               Contains("do not fit between the kernel and 0x1"));
}

TEST_CASE("the initrd stays below the device hole of a large guest") {
    BootMachine machine(5 * 1024);
    REQUIRE(machine.load(linux64_kernel, Bytes(1)).ok());
    const auto params = machine.peek<boot_params>(layout::zero_page);
    CHECK(std::uint32_t{params.hdr.ramdisk_image} == 0xc0000000 - page_size);
}

TEST_CASE("the initrd evades a kernel at the top of RAM") {
    BootMachine machine;
    const Bytes kernel = test::make_elf({.segments = {{.address = 7 * mib, .bytes = Bytes(mib, 1)},
                                                      {.address = 5 * mib, .bytes = Bytes(9, 2)}},
                                         .entry = 7 * mib});
    REQUIRE(machine.load(kernel, Bytes(2 * mib - page_size)).ok());
    auto params = machine.peek<boot_params>(layout::zero_page);
    CHECK(std::uint32_t{params.hdr.ramdisk_image} == 5 * mib + page_size);

    BootMachine second;
    REQUIRE(second.load(kernel, Bytes(2 * mib)).ok());
    params = second.peek<boot_params>(layout::zero_page);
    CHECK(std::uint32_t{params.hdr.ramdisk_image} == 3 * mib);
}

TEST_CASE("an initrd that is too large says how much memory would do") {
    BootMachine machine;
    CHECK_THAT(machine.refusal(pvh_kernel, Bytes(8 * mib)),
               Contains("initrd test: 8 MiB do not fit in guest RAM") && Contains("--memory 10M"));
}

// Linux takes 2047 bytes and cuts what is longer; only a bzImage tells its own limit.
TEST_CASE("the command line is checked against the limit of the kernel's kind") {
    BootMachine machine;
    const auto elf = GENERATE(pvh_kernel, linux64_kernel);
    CHECK(machine.load(elf, std::nullopt, std::string(2047, 'x')).ok());
    CHECK(machine.peek<std::uint8_t>(layout::command_line + 2047) == 0);
    CHECK_THAT(machine.refusal(elf, std::nullopt, std::string(2048, 'x')),
               Contains("2048 bytes") && Contains("accepts 2047") && Contains("--cmdline"));
    const auto image = linux64_image_with([](setup_header& h) { h.cmdline_size = 100; });
    CHECK_THAT(BootMachine().refusal(image, std::nullopt, std::string(101, 'x')),
               Contains("accepts 100"));
    CHECK(BootMachine().load(image, std::nullopt, std::string(100, 'x')).ok());
    CHECK_THAT(BootMachine().refusal(elf, std::nullopt, std::string("a\0b", 3)), Contains("NUL"));
}

TEST_CASE("an entry point above 4 GiB is refused") {
    BootMachine machine(4 * 1024);
    CHECK_THAT(machine.refusal(test::make_elf(
                   {.segments = {{.address = 4 * gib, .bytes = Bytes(16)}}, .entry = 4 * gib})),
               Contains("below 4 GiB"));
}
