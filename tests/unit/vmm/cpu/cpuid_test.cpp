// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/cpuid.h"

#include <catch2/catch.hpp>

#include "support/cpuid_entries.h"

using namespace fmvm;
using fmvm::test::find;
using fmvm::test::leaf;

namespace {

using Entry = kvm_cpuid_entry2;

Entry applied(const Entry& supported, const CpuidPolicy& policy) {
    const auto result = apply_cpuid_policy({supported}, policy);
    REQUIRE(result.size() == 1);
    return result[0];
}

bool bit(std::uint32_t word, unsigned index) {
    return (word >> index & 1) != 0;
}

}  // namespace

TEST_CASE("cpuid: leaf 1 tells who the vCPU is", "[cpuid]") {
    const Entry entry = applied(leaf(1), {.vcpu_id = 3, .vcpu_count = 4});
    CHECK(entry.ebx >> 24 == 3);
    CHECK((entry.ebx >> 16 & 0xff) == 4);
    CHECK(entry.eax == 0xffffffff);
    CHECK(bit(entry.edx, 28));
    CHECK_FALSE(bit(applied(leaf(1), {.vcpu_count = 1}).edx, 28));
}

TEST_CASE("cpuid: features taken and given", "[cpuid]") {
    Entry none = leaf(1);
    none.ecx = 0;
    const Entry plain = applied(none, {});
    CHECK(bit(plain.ecx, 31));        // hypervisor
    CHECK(bit(plain.ecx, 21));        // x2APIC
    CHECK_FALSE(bit(plain.ecx, 24));  // TSC deadline, only where KVM has it
    CHECK(bit(applied(none, {.tsc_deadline = true}).ecx, 24));
    CHECK_FALSE(bit(applied(leaf(1), {}).ecx, 24));

    CHECK_FALSE(bit(applied(leaf(1), {}).ecx, 3));  // MONITOR
    CHECK(bit(applied(leaf(1), {}).ecx, 13));       // CMPXCHG16B
    CHECK_FALSE(bit(applied(leaf(1), {.ring0_emulated = true}).ecx, 13));
}

TEST_CASE("cpuid: no performance counters, and of thermal leaf 6 only ARAT", "[cpuid]") {
    const Entry counters = applied(leaf(0xa), {});
    CHECK((counters.eax | counters.ebx | counters.ecx | counters.edx) == 0);
    const Entry thermal = applied(leaf(0x6), {});
    CHECK(thermal.eax == 0x4);
    CHECK((thermal.ebx | thermal.ecx | thermal.edx) == 0);
}

TEST_CASE("cpuid: nothing whose state a cut does not capture", "[cpuid]") {
    CHECK_FALSE(bit(applied(leaf(1), {}).ecx, 5));   // VMX
    CHECK_FALSE(bit(applied(leaf(1), {}).ecx, 15));  // PDCM
    const Entry amd = applied(leaf(0x80000001), {});
    for (const unsigned index : {2U, 23U, 24U, 28U})  // SVM, performance counters
        CHECK_FALSE(bit(amd.ecx, index));
    for (const std::uint32_t function : {0x8000000aU, 0x80000022U}) {
        const Entry entry = applied(leaf(function), {});
        CHECK((entry.eax | entry.ebx | entry.ecx | entry.edx) == 0);
    }
}

TEST_CASE("cpuid: the extended topology has three levels", "[cpuid]") {
    for (const std::uint32_t function : {0xbU, 0x1fU}) {
        const auto entries = apply_cpuid_policy({leaf(function), leaf(function, 1)},
                                                {.vcpu_id = 5, .vcpu_count = 6});
        REQUIRE(entries.size() == 3);
        const Entry& threads = *find(entries, function, 0);
        CHECK(threads.eax == 0);
        CHECK(threads.ebx == 1);
        CHECK(threads.ecx == 0x100);
        const Entry& cores = *find(entries, function, 1);
        CHECK(cores.eax == 3);  // six ids need three bits
        CHECK(cores.ebx == 6);
        CHECK(cores.ecx == 0x201);
        const Entry& end = *find(entries, function, 2);
        CHECK(end.ebx == 0);
        CHECK(end.ecx == 2);
        for (const Entry& entry : entries) {
            CHECK(entry.edx == 5);
            CHECK((entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0);
        }
    }
}

TEST_CASE("cpuid: one vCPU needs no id bits", "[cpuid]") {
    const auto entries = apply_cpuid_policy({leaf(0xb)}, {});
    CHECK(find(entries, 0xb, 1)->eax == 0);
    CHECK(find(entries, 0xb, 1)->ebx == 1);
}

TEST_CASE("cpuid: caches belong to one core, cores to one package", "[cpuid]") {
    const Entry cache = applied(leaf(4), {.vcpu_count = 5});
    CHECK(cache.eax >> 26 == 7);  // ids are counted in powers of two
    CHECK((cache.eax >> 14 & 0xfff) == 0);
    Entry closing = leaf(4, 4);
    closing.eax = 0;
    CHECK(applied(closing, {.vcpu_count = 5}).eax == 0);
}

TEST_CASE("cpuid: AMD's core count", "[cpuid]") {
    const Entry entry = applied(leaf(0x80000008), {.vcpu_count = 4});
    CHECK((entry.ecx & 0xff) == 3);
    CHECK((entry.ecx >> 12 & 0xf) == 0);
}

TEST_CASE("cpuid: everything else passes", "[cpuid]") {
    for (const std::uint32_t function : {0x0U, 0x7U, 0xdU, 0x40000000U, 0x40000001U}) {
        const Entry entry = applied(leaf(function), {.vcpu_id = 1, .vcpu_count = 2});
        CHECK((entry.eax & entry.ebx & entry.ecx & entry.edx) == 0xffffffff);
    }
}
