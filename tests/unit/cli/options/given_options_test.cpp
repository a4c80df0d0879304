// SPDX-License-Identifier: Apache-2.0
#include "cli/options/given_options.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support/temp_directory.h"
#include "vmm/board/layout.h"

using namespace fmvm;
using namespace fmvm::cli;
using namespace fmvm::node;

namespace {

constexpr std::uint64_t host_memory = 4 * gib;

GivenOptions with_kernel() {
    GivenOptions given;
    given.kernel = "vmlinux";
    return given;
}

std::string completion_error(GivenOptions given) {
    const Result<MachineOptions> options = complete(std::move(given), host_memory);
    REQUIRE_FALSE(options.ok());
    return options.error().message();
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("defaults") {
    const MachineOptions options = complete(with_kernel(), host_memory).value();
    CHECK(options.kernel == "vmlinux");
    CHECK(options.initrd.empty());
    CHECK(options.memory_bytes == 256 * mib);
    CHECK(options.cpus == 1);
    CHECK(options.console.kind == ConsoleKind::stdio);
    CHECK(options.host_quirks == HostQuirks::automatic);
    CHECK(options.verbosity == 0);
}

TEST_CASE("a kernel is needed") {
    CHECK(contains(completion_error({}), "--kernel"));
    GivenOptions empty;
    empty.kernel = "";
    CHECK(contains(completion_error(empty), "kernel: the path is empty"));
}

TEST_CASE("a snapshot brings along what the guest was started with") {
    GivenOptions given;
    given.restore = "saved";
    given.control = "vm.sock";
    const MachineOptions options = complete(given, host_memory).value();
    CHECK(options.restore == "saved");
    CHECK(options.control == "vm.sock");
    CHECK(options.kernel.empty());
    const auto refused = [&](std::string_view name, auto member, auto value) {
        GivenOptions with = given;
        with.*member = value;
        CHECK(contains(completion_error(with), std::string(name) + ": comes from the snapshot"));
    };
    refused("kernel", &GivenOptions::kernel, "vmlinux");
    refused("initrd", &GivenOptions::initrd, "initrd");
    refused("cmdline", &GivenOptions::cmdline, "quiet");
    refused("memory", &GivenOptions::memory_bytes, 256 * mib);
    refused("cpus", &GivenOptions::cpus, 1U);
    given.control = "";
    CHECK(contains(completion_error(given), "control: the path is empty"));
    given.restore = "";
    CHECK(contains(completion_error(given), "restore: the path is empty"));
    given.kernel = "vmlinux";
    CHECK(contains(completion_error(merge(given, {})), "restore"));
}

TEST_CASE("the command line wins, key by key, and replaces all disks") {
    GivenOptions command_line = with_kernel();
    command_line.memory_bytes = gib;
    command_line.disks = {DiskOptions{.path = "a", .serial = {}}};
    GivenOptions file;
    file.kernel = "other";
    file.memory_bytes = 512 * mib;
    file.cpus = 2;
    file.cmdline = "quiet";
    file.disks = {DiskOptions{.path = "b", .serial = {}}, DiskOptions{.path = "c", .serial = {}}};
    const GivenOptions merged = merge(command_line, file);
    CHECK(merged.kernel == "vmlinux");
    CHECK(merged.memory_bytes == gib);
    CHECK(merged.cpus == 2U);
    CHECK(merged.cmdline == "quiet");
    REQUIRE(merged.disks->size() == 1);
    CHECK(merged.disks->front().path == "a");
}

TEST_CASE("memory: at least what a machine needs, at most what the host has") {
    const auto message = [](std::uint64_t bytes) {
        GivenOptions given = with_kernel();
        given.memory_bytes = bytes;
        return completion_error(given);
    };
    CHECK(contains(message(0), "too small"));
    CHECK(contains(message(layout::memory_size_min - page_size), "too small"));
    CHECK(contains(message(host_memory + mib), "more than this host has (4096 MiB)"));
    CHECK(contains(message(layout::memory_size_max + mib), "too large"));
    CHECK(contains(message(64 * mib + kib), "multiple of 4 KiB"));
    GivenOptions given = with_kernel();
    given.memory_bytes = host_memory;
    CHECK(complete(given, host_memory).ok());
}

TEST_CASE("cpus: one to the limit") {
    GivenOptions given = with_kernel();
    given.cpus = 0;
    CHECK(contains(completion_error(given), "cpus"));
    given.cpus = layout::vcpu_count_max + 1;
    CHECK(contains(completion_error(given), "cpus"));
    given.cpus = layout::vcpu_count_max;
    CHECK(complete(given, host_memory).ok());
}

TEST_CASE("cmdline: one line that fits") {
    GivenOptions given = with_kernel();
    given.cmdline = "a\nb";
    CHECK(contains(completion_error(given), "control character"));
    given.cmdline = std::string("a\0b", 3);
    CHECK(contains(completion_error(given), "byte 2"));
    given.cmdline = std::string(layout::command_line_size_max, 'x');
    CHECK(contains(completion_error(given), "too many"));
    given.cmdline = std::string(layout::command_line_size_max - 1, 'x');
    CHECK(complete(given, host_memory).ok());
}

TEST_CASE("disks: paths, serials, number") {
    GivenOptions given = with_kernel();
    given.disks = {DiskOptions{}};
    CHECK(contains(completion_error(given), "disk: the path is empty"));
    given.disks = {DiskOptions{.path = "a", .serial = "123456789012345678901"}};
    CHECK(contains(completion_error(given), "disk a: the serial"));
    given.disks = {DiskOptions{.path = "a", .serial = "tab\t"}};
    CHECK(contains(completion_error(given), "disk a: the serial"));
    given.disks = {DiskOptions{.path = "a", .serial = "12345678901234567890"}};
    CHECK(complete(given, host_memory).ok());
    given.disks = std::vector<DiskOptions>(layout::virtio_device_count_max);
    CHECK(contains(completion_error(given), "too many"));
}

TEST_CASE("disks: one image twice is found behind any name") {
    const test::TempDirectory directory;
    const std::string image = directory.write("a.img", "x");
    const std::string link = directory.file("link");
    const std::string hard_link = directory.file("hard");
    std::filesystem::create_symlink(image, link);
    std::filesystem::create_hard_link(image, hard_link);
    for (const std::string& other : {image, link, hard_link, directory.file("./a.img")}) {
        GivenOptions given = with_kernel();
        given.disks = {DiskOptions{.path = image, .serial = {}},
                       DiskOptions{.path = other, .readonly = true, .serial = {}}};
        CHECK(contains(completion_error(given), "the same image as disk"));
    }
    GivenOptions missing = with_kernel();
    missing.disks = {DiskOptions{.path = "none.img", .serial = {}},
                     DiskOptions{.path = "./none.img", .serial = {}}};
    CHECK(contains(completion_error(missing), "the same image as disk"));
}

TEST_CASE("console: the file must be possible, and nobody else's") {
    const test::TempDirectory directory;
    GivenOptions given = with_kernel();
    given.console = ConsoleOptions{ConsoleKind::file, ""};
    CHECK(contains(completion_error(given), "console: the path is empty"));
    given.console = ConsoleOptions{ConsoleKind::file, directory.file("missing/log")};
    CHECK(contains(completion_error(given), "does not exist"));
    given.console = ConsoleOptions{ConsoleKind::file, directory.file("")};
    CHECK(contains(completion_error(given), "is a directory"));
    given.console = ConsoleOptions{ConsoleKind::file, directory.file("log")};
    CHECK(complete(given, host_memory).ok());
    given.kernel = directory.write("vmlinux", "x");
    given.console = ConsoleOptions{ConsoleKind::file, *given.kernel};
    CHECK(contains(completion_error(given), "the same file as kernel"));
}

TEST_CASE("a file is not written as a disk while it is read as kernel or initrd") {
    const test::TempDirectory directory;
    GivenOptions given = with_kernel();
    given.initrd = directory.write("initrd", "x");
    given.disks = {DiskOptions{.path = *given.initrd, .serial = {}}};
    CHECK(contains(completion_error(given), "the same file as initrd"));
    given.disks->front().readonly = true;
    CHECK(complete(given, host_memory).ok());
}

TEST_CASE("given options: a restored guest's devices may come from the file it was started with") {
    GivenOptions file;
    file.kernel = "vmlinux";
    file.cmdline = "quiet";
    file.memory_bytes = 64 * mib;
    file.cpus = 2;
    file.control = "vm.sock";
    GivenOptions command_line;
    command_line.restore = "saved";
    Result<MachineOptions> options = complete(merge(command_line, file), gib);
    REQUIRE(options.ok());
    CHECK(options->restore == "saved");
    CHECK(options->kernel.empty());
    CHECK(options->control == "vm.sock");
    command_line.cpus = 2;  // there it is a mistake
    CHECK_FALSE(complete(merge(command_line, file), gib).ok());
}
