// SPDX-License-Identifier: Apache-2.0
// Guest memory to load kernels into, and a look at what the loader left there.
#pragma once

#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "support/boot_images.h"
#include "vmm/board/layout.h"
#include "vmm/boot/kernel_loader.h"

namespace fmvm::test {

struct BootMachine {
    explicit BootMachine(std::uint64_t memory_mib = 8)
        : memory(GuestMemory::allocate(layout::ram_ranges(memory_mib * mib)).value()) {}

    Result<BootEntry> load(const Bytes& kernel, const std::optional<Bytes>& initrd = std::nullopt,
                           const std::string& command_line = "console=ttyS0") {
        const boot::BytesSource kernel_source("kernel test", kernel);
        if (!initrd) {
            return boot::load_kernel_image(memory, kernel_source, nullptr, command_line, rsdp);
        }
        const boot::BytesSource initrd_source("initrd test", *initrd);
        return boot::load_kernel_image(memory, kernel_source, &initrd_source, command_line, rsdp);
    }

    // The message of a load that must fail.
    std::string refusal(const Bytes& kernel, const std::optional<Bytes>& initrd = std::nullopt,
                        const std::string& command_line = "console=ttyS0") {
        const auto result = load(kernel, initrd, command_line);
        return result.ok() ? "accepted" : result.error().message();
    }

    template <typename T>
    T peek(GuestAddress address) const {
        T value{};
        REQUIRE(memory.read_object(address, value));
        return value;
    }
    Bytes peek_bytes(GuestAddress address, std::size_t size) const {
        Bytes bytes(size);
        REQUIRE(memory.read(address, bytes));
        return bytes;
    }

    GuestMemory memory;
    GuestAddress rsdp = layout::acpi_tables;
};

}  // namespace fmvm::test
