// SPDX-License-Identifier: Apache-2.0
// Kernels and initrds as files, with everything that can be wrong with a path.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/boot_machine.h"
#include "support/temp_directory.h"

using namespace fmvm;
using Catch::Matchers::Contains;
using test::BootMachine;
using test::Bytes;

namespace {

std::string refusal(const KernelSources& sources) {
    BootMachine machine;
    const auto result = load_kernel(machine.memory, sources);
    return result.ok() ? "accepted" : result.error().message();
}

const Bytes kernel_bytes = test::make_elf(
    {.segments = {{.bytes = test::noise(50'000)}}, .notes = test::make_pvh_note(0x100000)});

}  // namespace

TEST_CASE("a kernel and an initrd are loaded from files") {
    const test::TempDirectory directory;
    const Bytes initrd = test::noise(12'345, 7);
    BootMachine machine;
    const auto entry = load_kernel(
        machine.memory, {directory.write("vmlinux", kernel_bytes),
                         directory.write("initrd", initrd), "quiet", layout::acpi_tables});
    REQUIRE(entry.ok());
    CHECK(entry.value().protocol == BootProtocol::pvh);
    CHECK(machine.peek_bytes(GuestAddress(0x100000), 50'000) == test::noise(50'000));
    const GuestAddress module(machine.peek<std::uint64_t>(layout::hvm_start_info + 16));
    const GuestAddress start(machine.peek<std::uint64_t>(module));
    CHECK(machine.peek_bytes(start, initrd.size()) == initrd);
}

TEST_CASE("every wrong path has its sentence") {
    const test::TempDirectory directory;
    const std::string missing = directory.file("nothing");
    CHECK(refusal({missing, "", "", {}}) ==
          "kernel " + missing + ": cannot be opened: No such file or directory; check --kernel");
    CHECK_THAT(refusal({"", "", "", {}}), Contains("check --kernel"));
    CHECK_THAT(refusal({directory.file("."), "", "", {}}), Contains("is a directory"));
    CHECK_THAT(refusal({directory.write("empty", ""), "", "", {}}), Contains("is empty"));
    CHECK_THAT(refusal({"/dev/null", "", "", {}}), Contains("is a device, not a file"));
    const std::string fifo = directory.file("fifo");
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK_THAT(refusal({fifo, "", "", {}}), Contains("is a FIFO, not a file"));

    const std::string kernel = directory.write("vmlinux", kernel_bytes);
    CHECK_THAT(refusal({kernel, missing, "", {}}),
               Contains("initrd " + missing) && Contains("check --initrd"));
    CHECK_THAT(refusal({kernel, directory.file("."), "", {}}), Contains("is a directory"));
    CHECK_THAT(refusal({kernel, directory.write("none", ""), "", {}}), Contains("is empty"));
}

TEST_CASE("a file that shrinks while it is read is an error, not a crash") {
    const test::TempDirectory directory;
    const std::string path = directory.write("vmlinux", kernel_bytes);
    const auto source = boot::FileSource::open("kernel", path);
    REQUIRE(source.ok());
    REQUIRE(::truncate(path.c_str(), 1000) == 0);
    BootMachine machine;
    const auto result = boot::load_kernel_image(machine.memory, source.value(), nullptr, "", {});
    REQUIRE_FALSE(result.ok());
    CHECK_THAT(result.error().message(), Contains("became shorter"));
}
