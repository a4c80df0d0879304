// SPDX-License-Identifier: Apache-2.0
// Which saved states a machine takes: what it does not fit is refused in one sentence.
#include "kvm/running_guest.h"

namespace fmvm::test {

TEST_CASE("a state of before crashes were part of it is taken", "[kvm]") {
    RunningGuest guest("hello", "");
    guest.build();
    StateImage image;
    {
        const QuiesceGuard guard = guest.built.machine->quiesce();
        image = require(guest.built.machine->save());
    }
    StateSection power = image.take("power");
    RunningGuest other("hello", "");
    other.build();
    const auto checked = [&](std::uint32_t version) {
        StateImage tried = image;
        tried.add("power", version, power.payload);
        return other.built.machine->check(tried);
    };
    require(checked(1));
    CHECK_FALSE(checked(0).ok());
    const Result<void> newer = checked(power.version + 1);
    REQUIRE(!newer.ok());
    CHECK_THAT(newer.error().message(),
               Catch::Contains("power has version 3, this fmvm reads versions 1 to 2"));
}

TEST_CASE("what a machine does not fit is refused in one sentence", "[kvm]") {
    RunningGuest guest("blkload", "op=mixed depth=32 seconds=20", 32 * mib);
    guest.build();
    StateImage image;
    {
        const QuiesceGuard guard = guest.built.machine->quiesce();
        image = require(guest.built.machine->save());
    }
    const auto refusal = [&](const StateImage& tried, RunningGuest& target) {
        target.build();
        const Result<void> restored = target.built.machine->restore(tried);
        return restored.ok() ? "accepted" : restored.error().message();
    };
    using Catch::Contains;
    RunningGuest same("blkload", "", 32 * mib);
    SECTION("no disk") {
        RunningGuest target("hello", "");
        CHECK_THAT(refusal(image, target), Contains("disk0") && Contains("does not have"));
    }
    SECTION("a smaller disk") {
        RunningGuest target("blkload", "", 16 * mib);
        CHECK_THAT(refusal(image, target), Contains("disk0") && Contains("another disk"));
    }
    SECTION("another amount of memory") {
        same.options.memory_bytes = 32 * mib;
        CHECK_THAT(refusal(image, same), Contains("65536 KiB"));
    }
    SECTION("more CPUs") {
        same.options.cpus = 2;
        CHECK_THAT(refusal(image, same), Contains("1 CPUs"));
    }
    SECTION("a missing section") {
        image.take("rng");
        CHECK_THAT(refusal(image, same), Contains("lacks the state of rng"));
    }
    SECTION("another version") {
        StateSection serial = image.take("serial");
        image.add("serial", serial.version + 1, std::move(serial.payload));
        CHECK_THAT(refusal(image, same), Contains("has version 2, this fmvm reads version 1"));
    }
    SECTION("a CPU feature that this host lacks") {
        StateSection vcpu = image.take("vcpu0");
        ByteReader in(vcpu.payload);
        VcpuState state = VcpuState::decode(in);
        REQUIRE(in.done());
        for (kvm_cpuid_entry2& entry : state.cpuid) {
            if (entry.function == 7 && entry.index == 0) entry.ecx = 0xffffffff;
        }
        ByteWriter out;
        state.encode(out);
        image.add("vcpu0", vcpu.version, out.take());
        CHECK_THAT(refusal(image, same), Contains("leaf 0x7.ecx") && Contains("--cpu"));
    }
    SECTION("every section, cut short") {
        for (const StateSection& section : std::vector(image.sections())) {
            StateImage broken = image;
            StateSection part = broken.take(section.name);
            part.payload.pop_back();
            broken.add(part.name, part.version, part.payload);
            RunningGuest target("blkload", "", 32 * mib);
            INFO(section.name);
            CHECK_THAT(refusal(broken, target), Contains("malformed"));
        }
    }
}

}  // namespace fmvm::test
