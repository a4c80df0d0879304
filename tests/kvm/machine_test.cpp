// SPDX-License-Identifier: Apache-2.0
// Whole machines in this process: quiescing them many times a second under load.
#include <xxhash.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <future>

#include "cli/machine_builder.h"
#include "kvm/raw_guest.h"

namespace fmvm::test {

namespace {

struct TemporaryDirectory {
    TemporaryDirectory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "fmvm-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~TemporaryDirectory() { std::filesystem::remove_all(path); }
    std::filesystem::path path;
};

struct RunningGuest {
    RunningGuest(const std::string& name, const std::string& cmdline,
                 std::uint64_t disk_bytes = 0) {
        options.kernel = std::string(FMVM_GUESTS) + "/" + name + ".elf";
        options.cmdline = cmdline;
        options.memory_bytes = 64 * mib;
        options.console = {cli::ConsoleKind::file, console_path()};
        if (disk_bytes != 0) {
            const std::string image = (directory.path / "disk.img").string();
            std::ofstream(image).close();
            std::filesystem::resize_file(image, disk_bytes);
            options.disks.emplace_back().path = image;
        }
    }
    void build() {
        cli::ExitStatus status{};
        built = require(cli::build_machine(require(Kvm::open()), options, status));
        built.machine->on_end([this](GuestEnd end) { ended.set_value(end); });
    }
    std::string console_path() const { return (directory.path / "console").string(); }
    std::string console() const {
        std::ifstream file(console_path());
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::uint64_t digest() {
        XXH3_state_t* state = XXH3_createState();
        XXH3_64bits_reset(state);
        for (const MemoryRegion& region : built.machine->memory().regions()) {
            XXH3_64bits_update(state, region.host, region.size);
        }
        const std::uint64_t result = XXH3_64bits_digest(state);
        XXH3_freeState(state);
        return result;
    }

    TemporaryDirectory directory;
    cli::RunOptions options;
    cli::BuiltMachine built;
    std::promise<GuestEnd> ended;
};

constexpr auto guest_wait_max = std::chrono::seconds(120);

// Quiesces the machine again and again until the guest ends by itself.
int quiesce_until_end(RunningGuest& guest, bool compare) {
    guest.build();
    std::future<GuestEnd> future = guest.ended.get_future();
    const auto deadline = std::chrono::steady_clock::now() + guest_wait_max;
    guest.built.machine->start();
    int cuts = 0;
    while (future.wait_for(std::chrono::milliseconds(3)) != std::future_status::ready) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        const QuiesceGuard guard = guest.built.machine->quiesce();
        ++cuts;
        if (compare && cuts % 16 == 0) {
            const std::uint64_t before = guest.digest();
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            CHECK(guest.digest() == before);
        }
    }
    CHECK(future.get() == GuestEnd::power_off);
    return cuts;
}

}  // namespace

TEST_CASE("memory stands still while quiesced, and the guest's checksum holds", "[kvm]") {
    RunningGuest guest("dirty", "mib=8 seconds=3");
    CHECK(quiesce_until_end(guest, true) > 20);
    guest.built.machine.reset();
    CHECK_THAT(guest.console(), Catch::Contains("dirty: ok"));
}

TEST_CASE("a disk under load survives being quiesced all the time", "[kvm]") {
    RunningGuest guest("blkload", "op=mixed verify=1 depth=32 wait=irq requests=5000", 32 * mib);
    CHECK(quiesce_until_end(guest, false) > 5);
    guest.built.machine.reset();
    CHECK_THAT(guest.console(), Catch::Contains("blkload: ok"));
}

TEST_CASE("several vCPUs are stopped together", "[kvm]") {
    RunningGuest guest("smp", "rounds=30 cpus=2");
    guest.options.cpus = 2;
    CHECK(quiesce_until_end(guest, true) > 3);
    guest.built.machine.reset();
    CHECK_THAT(guest.console(), Catch::Contains("smp: ok"));
}

TEST_CASE("what the VMM writes is marked dirty", "[kvm]") {
    RunningGuest guest("journal", "count=5", 8 * mib);
    guest.build();
    guest.built.machine->memory().take_dirty_marks();
    std::future<GuestEnd> future = guest.ended.get_future();
    guest.built.machine->start();
    REQUIRE(future.wait_for(guest_wait_max) == std::future_status::ready);
    const QuiesceGuard guard = guest.built.machine->quiesce();
    int marked = 0;
    for (const std::uint64_t word : guest.built.machine->memory().take_dirty_marks()) {
        marked += std::popcount(word);
    }
    CHECK(marked >= 2);   // at least a used ring and a status byte
    CHECK(marked < 200);  // and nowhere near everything
}

}  // namespace fmvm::test
