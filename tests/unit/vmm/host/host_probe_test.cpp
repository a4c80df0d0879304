// SPDX-License-Identifier: Apache-2.0
// On a host without KVM there is nothing to try, and the test says so.
#include "vmm/host/host_probe.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace fmvm;

TEST_CASE("host probe: the quick and the long answer agree") {
    const Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) {
        WARN("not tried: " << kvm.error().message());
        return;
    }
    const Ring0Kind quick = probe_ring0(kvm.value()).value();
    const Ring0Report report = measure_ring0(kvm.value()).value();
    CHECK(report.kind == quick);
    CHECK(std::isfinite(report.million_instructions_per_s));
    CHECK(report.million_instructions_per_s > 0);
    for (const InstructionProbe& probe : report.instructions) {
        INFO(probe.name);
        // Only an emulator refuses; and what every x86-64 CPU has never faults.
        const bool refused = probe.verdict == InstructionVerdict::refused ||
                             probe.verdict == InstructionVerdict::completed;
        if (quick == Ring0Kind::hardware) CHECK_FALSE(refused);
        for (const char* base : {"int3", "fwait", "fnclex", "emms", "fxsave", "movdqa", "pxor"}) {
            if (probe.name == base) CHECK(probe.verdict != InstructionVerdict::faults);
        }
        if (probe.name == "int3" || probe.name == "fwait") {
            CHECK(probe.verdict != InstructionVerdict::refused);
        }
    }
}

TEST_CASE("host probe: the capabilities are what KVM says") {
    const Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) {
        WARN("not tried: " << kvm.error().message());
        return;
    }
    for (const KvmCapability& capability : probe_capabilities(kvm.value())) {
        if (capability.name == "user memory") CHECK(capability.value == 1);
    }
}
