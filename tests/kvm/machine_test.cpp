// SPDX-License-Identifier: Apache-2.0
// Whole machines in this process: quiescing them many times a second under load.
#include "kvm/running_guest.h"

namespace fmvm::test {

namespace {

// Quiesces the machine again and again until the guest ends by itself.
int quiesce_until_end(RunningGuest& guest, bool compare) {
    guest.build();
    const auto deadline = std::chrono::steady_clock::now() + guest_wait_max;
    guest.built.machine->start();
    int cuts = 0;
    while (!guest.has_ended(std::chrono::milliseconds(3))) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        const QuiesceGuard guard = guest.built.machine->quiesce();
        ++cuts;
        if (compare && cuts % 16 == 0) {
            const std::uint64_t before = guest.digest();
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            CHECK(guest.digest() == before);
        }
    }
    CHECK(guest.end.get() == GuestEnd::power_off);
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
    RunningGuest guest("smp", "rounds=500 cpus=2");
    guest.options.cpus = 2;
    CHECK(quiesce_until_end(guest, true) > 3);
    guest.built.machine.reset();
    CHECK_THAT(guest.console(), Catch::Contains("smp: ok"));
}

TEST_CASE("what the VMM writes is marked dirty", "[kvm]") {
    RunningGuest guest("journal", "count=5", 8 * mib);
    guest.build();
    guest.built.machine->memory().take_dirty_marks();
    guest.built.machine->start();
    REQUIRE(guest.has_ended(guest_wait_max));
    const QuiesceGuard guard = guest.built.machine->quiesce();
    int marked = 0;
    for (const std::uint64_t word : guest.built.machine->memory().take_dirty_marks()) {
        marked += std::popcount(word);
    }
    CHECK(marked >= 2);   // at least a used ring and a status byte
    CHECK(marked < 200);  // and nowhere near everything
}

}  // namespace fmvm::test
