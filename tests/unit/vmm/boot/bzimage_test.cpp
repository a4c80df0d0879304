// SPDX-License-Identifier: Apache-2.0
#include <cstddef>

#include "support/boot_machine.h"

using namespace fmvm;
using boot::Compression;
using Catch::Matchers::Contains;
using test::BootMachine;
using test::Bytes;

namespace {

Bytes small_vmlinux() {
    return test::make_elf({.segments = {{.address = 0x200000, .bytes = test::noise(20'000)}},
                           .entry = 0x200000,
                           .notes = test::make_pvh_note(0x200010)});
}

Bytes bzimage_of(const Bytes& vmlinux, Compression compression = Compression::lz4) {
    return test::make_bzimage({.payload = test::compress(compression, vmlinux)});
}

Bytes bzimage_with(void (*change)(setup_header&), const Bytes& payload) {
    test::BzImageSpec spec{.payload = payload};
    change(spec.header);
    return test::make_bzimage(spec);
}

}  // namespace

TEST_CASE("a bzImage is unpacked and its vmlinux entered by the 64-bit protocol") {
    const Compression compression =
        GENERATE(Compression::gzip, Compression::bzip2, Compression::lzma, Compression::xz,
                 Compression::lz4, Compression::zstd);
    CAPTURE(boot::to_string(compression));
    Bytes vmlinux = small_vmlinux();
    vmlinux.resize(vmlinux.size() + 10'000, 0x77);  // relocations behind the ELF
    BootMachine machine;
    const auto entry = machine.load(bzimage_of(vmlinux, compression));
    REQUIRE(entry.ok());
    CHECK(entry.value().protocol == BootProtocol::linux64);
    CHECK(entry.value().entry == GuestAddress(0x200000));
    CHECK(entry.value().info == layout::zero_page);
    CHECK(machine.peek_bytes(GuestAddress(0x200000), 20'000) == test::noise(20'000));
}

TEST_CASE("the setup header reaches boot_params, the code behind it does not") {
    test::BzImageSpec spec{.payload = test::compress(Compression::gzip, small_vmlinux())};
    spec.header.jump = 0x66eb;  // boot protocol 2.12: ends before kernel_info_offset
    spec.header.kernel_info_offset = 0xdddddddd;
    spec.header.root_flags = 0x1234;
    BootMachine machine;
    REQUIRE(machine.load(test::make_bzimage(spec)).ok());
    const auto params = machine.peek<boot_params>(layout::zero_page);
    CHECK(std::uint16_t{params.hdr.root_flags} == 0x1234);
    CHECK(std::uint16_t{params.hdr.version} == 0x020f);
    CHECK(std::uint32_t{params.hdr.kernel_info_offset} == 0);
    CHECK(params.sentinel == 0);
    CHECK(params.edd_mbr_sig_buffer[0] == 0);
}

TEST_CASE("an unknown compression is booted as it is, at its preferred address") {
    const Bytes payload{0x89, 'L', 'Z', 'O', 1, 2, 3, 4};
    const Bytes image = GENERATE_COPY(test::make_bzimage({.payload = payload}),
                                      test::make_bzimage({.payload = {}}));
    BootMachine machine;
    const auto entry = machine.load(image, Bytes(64, 1));
    REQUIRE(entry.ok());
    CHECK(entry.value().protocol == BootProtocol::linux64);
    CHECK(entry.value().entry == GuestAddress(2 * mib + 0x200));
    const Bytes kernel(image.begin() + 4 * 512, image.end());
    CHECK(machine.peek_bytes(GuestAddress(2 * mib), kernel.size()) == kernel);
}

TEST_CASE("a packed kernel that cannot move starts at 1 MiB") {
    BootMachine machine;
    const auto entry =
        machine.load(bzimage_with([](setup_header& header) { header.relocatable_kernel = 0; }, {}));
    REQUIRE(entry.ok());
    CHECK(entry.value().entry == GuestAddress(mib + 0x200));
}

TEST_CASE("a packed kernel needs init_size bytes, free of the initrd") {
    const auto image = bzimage_with(
        [](setup_header& header) { header.init_size = 5 * static_cast<std::uint32_t>(mib); }, {});
    BootMachine machine;  // 8 MiB: the kernel takes 2 to 7
    REQUIRE(machine.load(image, Bytes(mib)).ok());
    const auto params = machine.peek<boot_params>(layout::zero_page);
    CHECK(std::uint32_t{params.hdr.ramdisk_image} == 7 * mib);
    CHECK(BootMachine().load(image, Bytes(mib + 1)).ok() == false);

    const auto large = bzimage_with(
        [](setup_header& header) { header.init_size = 7 * static_cast<std::uint32_t>(mib); }, {});
    CHECK_THAT(BootMachine().refusal(large), Contains("--memory 9M"));
}

TEST_CASE("hostile addresses in the setup header of a packed kernel") {
    BootMachine machine;
    CHECK_THAT(machine.refusal(bzimage_with([](setup_header& h) { h.pref_address = ~0ull; }, {})),
               Contains("damaged setup header"));
    CHECK_THAT(machine.refusal(bzimage_with([](setup_header& h) { h.pref_address = 0; }, {})),
               Contains("below 1 MiB"));
    CHECK_THAT(machine.refusal(bzimage_with([](setup_header& h) { h.init_size = ~0u; }, {})),
               Contains("never has RAM"));
}

TEST_CASE("kernels that cannot be started are named for what they are") {
    const Bytes payload = test::compress(Compression::gzip, small_vmlinux());
    BootMachine machine;
    CHECK_THAT(machine.refusal(bzimage_with([](setup_header& h) { h.xloadflags = 0; }, payload)),
               Contains("32-bit kernel"));
    CHECK_THAT(machine.refusal(bzimage_with([](setup_header& h) { h.version = 0x020b; }, payload)),
               Contains("boot protocol 2.11"));
    CHECK_THAT(machine.refusal(bzimage_with([](setup_header& h) { h.header = 0; }, payload)),
               Contains("neither an ELF"));
    CHECK_THAT(machine.refusal(bzimage_of(test::noise(5000))), Contains("is not an ELF kernel"));
    CHECK_THAT(machine.refusal(bzimage_of({})), Contains("is not an ELF kernel"));
}

TEST_CASE("a vmlinux inside a bzImage is checked like any other") {
    Bytes vmlinux = small_vmlinux();
    test::patch<std::uint16_t>(vmlinux, 18, 183);
    BootMachine machine;
    CHECK_THAT(machine.refusal(bzimage_of(vmlinux)),
               Contains("kernel test (unpacked): is for another processor"));
}

TEST_CASE("a kernel that unpacks to more than guest RAM is refused") {
    const Bytes vmlinux(9 * mib, 0);
    BootMachine machine;
    CHECK_THAT(machine.refusal(bzimage_of(vmlinux, Compression::zstd)),
               Contains("its zstd payload unpacks to more than 8 MiB"));
}

TEST_CASE("a damaged payload is refused") {
    Bytes payload = test::compress(Compression::gzip, small_vmlinux());
    payload[payload.size() / 2] ^= 0xff;
    BootMachine machine;
    CHECK_THAT(machine.refusal(test::make_bzimage({.payload = payload})),
               Contains("its gzip payload is damaged"));
}

TEST_CASE("a bzImage cut anywhere is refused") {
    const Bytes image = bzimage_of(small_vmlinux());
    BootMachine machine;
    for (std::size_t size = 0x206; size + 16 <= image.size(); size += 7) {
        CAPTURE(size);
        REQUIRE_THAT(machine.refusal(Bytes(image.begin(), image.begin() + long(size))),
                     Contains("is truncated"));
    }
    REQUIRE(machine.load(image).ok());
}

TEST_CASE("hostile payload fields") {
    const Bytes image = bzimage_of(small_vmlinux());
    const std::size_t field = 0x1f1 + GENERATE(offsetof(setup_header, payload_offset),
                                               offsetof(setup_header, payload_length));
    const std::uint32_t value = GENERATE(0xffffffffu, 0x80000000u, 0x40000000u, 0x100000u);
    Bytes broken = image;
    test::patch(broken, field, value);
    BootMachine machine;
    CHECK_THAT(machine.refusal(broken), Contains("its payload needs"));
}
