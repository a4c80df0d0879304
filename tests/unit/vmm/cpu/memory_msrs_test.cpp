// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/memory_msrs.h"

#include <catch2/catch.hpp>

#include "support/guest_ram.h"

using namespace fmvm;

namespace {

constexpr std::uint64_t ram_bytes = 64 * kib;

bool accepted(std::uint32_t index, std::uint64_t data) {
    static const test::GuestRam ram(ram_bytes);
    return check_memory_msr({.index = index, .reserved = 0, .data = data},
                            const_cast<test::GuestRam&>(ram).memory())
        .ok();
}

}  // namespace

TEST_CASE("MSRs of a guest's clocks may hold anything", "[cpu]") {
    for (const std::uint32_t clock : {0x11u, 0x12u, 0x4b564d00u, 0x4b564d01u}) {
        CHECK(names_guest_memory(clock));
        for (const std::uint64_t value : {0ull, 0x1001ull, 2ull, ~0ull})
            CHECK(accepted(clock, value));
    }
}

TEST_CASE("reserved bits of KVM's MSRs are refused", "[cpu]") {
    constexpr std::uint32_t page_faults = 0x4b564d02, steal_time = 0x4b564d03;
    CHECK(accepted(page_faults, 0x1000 | 0xf));
    CHECK_FALSE(accepted(page_faults, 0x1000 | 0x10));
    CHECK(accepted(steal_time, ram_bytes * 2 + 1));  // KVM looks at the address later
    CHECK_FALSE(accepted(steal_time, 0x1000 | 2));
}

TEST_CASE("the MSR of the end of interrupt names RAM while it is enabled", "[cpu]") {
    constexpr std::uint32_t end_of_interrupt = 0x4b564d04;
    CHECK(accepted(end_of_interrupt, 0));
    CHECK(accepted(end_of_interrupt, ram_bytes - 4 + 1));
    CHECK(accepted(end_of_interrupt, ram_bytes));
    CHECK_FALSE(accepted(end_of_interrupt, ram_bytes + 1));
    CHECK_FALSE(accepted(end_of_interrupt, 0x1000 | 2));
}

TEST_CASE("MSRs that name guest memory for Hyper-V's interfaces are zero", "[cpu]") {
    for (const std::uint32_t msr :
         {0x40000001u, 0x40000021u, 0x40000073u, 0x40000082u, 0x40000083u}) {
        CHECK(names_guest_memory(msr));
        CHECK(accepted(msr, 0));
        CHECK_FALSE(accepted(msr, 0x1001));
    }
}

TEST_CASE("undocumented MSRs of KVM's own may name guest memory", "[cpu]") {
    CHECK(names_guest_memory(0x4b564df1));
    CHECK(accepted(0x4b564df1, ~0ull));
}

TEST_CASE("other MSRs are KVM's to judge", "[cpu]") {
    for (const std::uint32_t msr : {0x10u, 0x1bu, 0x277u, 0x40000002u, 0x4b564d05u, 0xc0000080u}) {
        CHECK_FALSE(names_guest_memory(msr));
        CHECK(accepted(msr, ~0ull));
    }
}
