// SPDX-License-Identifier: Apache-2.0
// The kernel loaders: any kernel, initrd and command line are either loaded, with an entry point
// in guest RAM, or refused with one line that names the culprit. Mostly valid images with rare
// breaks, because plain random bytes end at the first magic number.
#include <fuzzer/FuzzedDataProvider.h>

#include <optional>
#include <string>

#include "base/check.h"
#include "support/boot_images.h"
#include "vmm/board/layout.h"
#include "vmm/boot/kernel_loader.h"

namespace {

using namespace fmvm;
using boot::Compression;
using test::Bytes;

constexpr std::uint64_t memory_size = 16 * mib;
constexpr Compression compressions[] = {Compression::gzip, Compression::bzip2, Compression::lzma,
                                        Compression::xz,   Compression::lz4,   Compression::zstd};

// Overwrites a few places with chosen values; often none.
void break_it(FuzzedDataProvider& input, Bytes& bytes) {
    const auto breaks = input.ConsumeIntegralInRange<unsigned>(0, 3);
    for (unsigned i = 0; i < breaks && bytes.size() >= 8; ++i) {
        // Headers come first and matter most.
        const std::size_t last =
            input.ConsumeBool() ? std::min<std::size_t>(bytes.size(), 0x280) : bytes.size();
        const auto offset = input.ConsumeIntegralInRange<std::size_t>(0, last - 8);
        if (input.ConsumeBool()) {
            bytes[offset] = input.ConsumeIntegral<std::uint8_t>();
        } else {
            test::patch(bytes, offset, input.ConsumeIntegral<std::uint64_t>());
        }
    }
    if (input.ConsumeProbability<float>() < 0.1f) {
        bytes.resize(input.ConsumeIntegralInRange<std::size_t>(0, bytes.size()));
    }
}

std::uint64_t address(FuzzedDataProvider& input) {
    return input.ConsumeBool() ? input.ConsumeIntegralInRange<std::uint64_t>(0, memory_size)
                               : input.ConsumeIntegral<std::uint64_t>();
}

Bytes make_elf(FuzzedDataProvider& input) {
    test::ElfSpec spec;
    spec.segments.resize(input.ConsumeIntegralInRange<std::size_t>(0, 4));
    for (test::ElfSegment& segment : spec.segments) {
        segment.address = address(input);
        segment.bytes =
            input.ConsumeBytes<std::uint8_t>(input.ConsumeIntegralInRange<std::size_t>(0, 64));
        segment.memory_size = address(input);
    }
    spec.entry =
        spec.segments.empty() || input.ConsumeBool() ? address(input) : spec.segments[0].address;
    if (input.ConsumeBool()) {
        spec.notes = input.ConsumeBool() ? test::make_pvh_note(spec.entry)
                                         : input.ConsumeBytes<std::uint8_t>(
                                               input.ConsumeIntegralInRange<std::size_t>(0, 80));
        spec.note_alignment = input.ConsumeBool() ? 4 : 8;
    }
    Bytes elf = test::make_elf(spec);
    break_it(input, elf);
    return elf;
}

Bytes make_payload(FuzzedDataProvider& input) {
    if (input.ConsumeProbability<float>() < 0.1f) return {};
    const Compression compression = input.PickValueInArray(compressions);
    if (input.ConsumeBool()) {
        Bytes payload = test::compress(compression, make_elf(input));
        break_it(input, payload);
        return payload;
    }
    // The right magic number, then anything.
    Bytes payload = test::compress(compression, Bytes(1));
    payload.resize(6);
    const Bytes rest =
        input.ConsumeBytes<std::uint8_t>(input.ConsumeIntegralInRange<std::size_t>(0, 2000));
    payload.insert(payload.end(), rest.begin(), rest.end());
    return payload;
}

Bytes make_bzimage(FuzzedDataProvider& input) {
    test::BzImageSpec spec;
    spec.payload = make_payload(input);
    spec.stub_size = input.ConsumeIntegralInRange<std::size_t>(0, 0x400);
    spec.header.setup_sects = input.ConsumeIntegralInRange<std::uint8_t>(0, 8);
    spec.header.pref_address = address(input);
    spec.header.init_size = static_cast<std::uint32_t>(address(input));
    spec.header.relocatable_kernel = input.ConsumeBool();
    spec.header.initrd_addr_max = static_cast<std::uint32_t>(address(input));
    Bytes image = test::make_bzimage(spec);
    break_it(input, image);
    return image;
}

Bytes make_kernel(FuzzedDataProvider& input) {
    switch (input.ConsumeIntegralInRange<unsigned>(0, 2)) {
        case 0:
            return make_elf(input);
        case 1:
            return make_bzimage(input);
        default:
            return input.ConsumeRemainingBytes<std::uint8_t>();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    FuzzedDataProvider input(data, size);
    const std::string command_line = input.ConsumeRandomLengthString(5000);
    const bool with_initrd = input.ConsumeBool();
    const Bytes initrd(input.ConsumeIntegralInRange<std::size_t>(1, 1 << 17), 0x5a);
    const Bytes kernel = make_kernel(input);

    GuestMemory memory = GuestMemory::allocate(layout::ram_ranges(memory_size)).value();
    const boot::BytesSource kernel_source("kernel fuzz", kernel);
    const boot::BytesSource initrd_source("initrd fuzz", initrd);
    const auto entry =
        boot::load_kernel_image(memory, kernel_source, with_initrd ? &initrd_source : nullptr,
                                command_line, layout::acpi_tables);
    if (!entry.ok()) {
        const std::string message = entry.error().message();
        FMVM_CHECK(message.find("kernel") != std::string::npos ||
                   message.find("initrd") != std::string::npos);
        FMVM_CHECK(message.find('\n') == std::string::npos);
        return 0;
    }
    const bool pvh = entry.value().protocol == BootProtocol::pvh;
    FMVM_CHECK(memory.contains(entry.value().entry, 1));
    FMVM_CHECK(entry.value().entry >= layout::high_memory);
    FMVM_CHECK(entry.value().info == (pvh ? layout::hvm_start_info : layout::zero_page));
    return 0;
}
