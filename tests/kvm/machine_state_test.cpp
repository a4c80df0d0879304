// SPDX-License-Identifier: Apache-2.0
// A guest goes on in another machine: state and RAM are taken at a random moment and put into a
// fresh machine, again and again, until the guest ends and finds all in order.
#include <cstring>
#include <functional>
#include <optional>
#include <random>

#include "kvm/running_guest.h"
#include "vmm/host/host_probe.h"

namespace fmvm::test {

namespace {

std::chrono::milliseconds random_wait() {
    static std::minstd_rand random(std::random_device{}());
    return std::chrono::milliseconds(std::uniform_int_distribution<int>(1, 60)(random));
}

void copy_ram(const Machine& from, Machine& to) {
    const auto& source = from.memory().regions();
    const auto& target = to.memory().regions();
    REQUIRE(source.size() == target.size());
    for (std::size_t i = 0; i < source.size(); ++i)
        std::memcpy(target[i].host, source[i].host, source[i].size);
}

// Lets the guest move through `machines` machines; the last one carries it to its end. What each
// showed on its console is appended to `console`.
// altered: what becomes of its state on the way.
void move_until_end(RunningGuest& guest, int machines, std::string& console,
                    const std::function<StateImage(StateImage)>& altered = std::identity()) {
    guest.build();
    std::unique_ptr<Machine> current = std::move(guest.built.machine);
    current->start();
    for (int i = 1; i < machines && !guest.has_ended(random_wait()); ++i) {
        std::optional<QuiesceGuard> guard(std::in_place, *current);
        if (guest.has_ended()) break;
        const StateImage image = altered(require(current->save()));
        // The disk is locked by the machine that has it; its requests in flight end first.
        current->request_end(GuestEnd::stopped);
        const StateImage decoded = require(StateImage::decode(image.encode()));
        guest.ended = {};
        guest.end = guest.ended.get_future();
        const auto ram = std::make_unique<std::vector<std::uint8_t>>();
        for (const MemoryRegion& region : current->memory().regions())
            ram->insert(ram->end(), region.host, region.host + region.size);
        guard.reset();
        current.reset();
        console += guest.console();
        guest.build();
        current = std::move(guest.built.machine);
        std::size_t at = 0;
        for (const MemoryRegion& region : current->memory().regions()) {
            std::memcpy(region.host, ram->data() + at, region.size);
            at += region.size;
        }
        require(current->restore(decoded));
        current->start();
    }
    REQUIRE(guest.has_ended(guest_wait_max));
    CHECK(guest.end.get() == GuestEnd::power_off);
    current.reset();
    console += guest.console();
}

// Of the boot vCPU.
VcpuState vcpu_state(const StateImage& image) {
    ByteReader in(image.find("vcpu0")->payload);
    VcpuState state = VcpuState::decode(in);
    REQUIRE(in.done());
    return state;
}

StateImage with_vcpu_state(StateImage image, const VcpuState& state) {
    ByteWriter out;
    state.encode(out);
    image.take("vcpu0");
    image.add("vcpu0", VcpuState::version, out.take());
    return image;
}

// As a Linux guest has it, which has KVM keep the time in its memory.
StateImage with_clocks(const StateImage& image) {
    VcpuState state = vcpu_state(image);
    for (kvm_msr_entry& entry : state.msrs) {
        if (entry.index == 0x11 || entry.index == 0x4b564d00) entry.data = 2 * mib;
        if (entry.index == 0x12 || entry.index == 0x4b564d01) entry.data = 3 * mib + 1;
    }
    return with_vcpu_state(image, state);
}

}  // namespace

TEST_CASE("a guest moves from machine to machine and keeps its memory", "[kvm]") {
    RunningGuest guest("dirty", "mib=8 seconds=3");
    std::string console;
    move_until_end(guest, 8, console);
    CHECK_THAT(console, Catch::Contains("dirty: ok"));
}

TEST_CASE("requests in flight move with the guest", "[kvm]") {
    const std::string wait = GENERATE("irq", "poll");
    RunningGuest guest("blkload", "op=mixed verify=1 depth=32 requests=8000 wait=" + wait,
                       32 * mib);
    std::string console;
    move_until_end(guest, 8, console);
    CHECK_THAT(console, Catch::Contains("blkload: ok"));
}

TEST_CASE("two vCPUs that interrupt each other move together", "[kvm]") {
    RunningGuest guest("smp", "rounds=100 cpus=2");
    guest.options.cpus = 2;
    std::string console;
    move_until_end(guest, 6, console);
    CHECK_THAT(console, Catch::Contains("smp: ok"));
}

// QEMU 7.2's emulation of SVM does not intercept XSETBV, so that KVM does not know of it and would
// take AVX away: what the guest has set is put where KVM should have it.
TEST_CASE("AVX registers move with the guest", "[kvm]") {
    if (require(probe_ring0(require(Kvm::open()))) == Ring0Kind::emulated) {
        WARN("SKIPPED: ring 0 is emulated here, and no bare guest can enable AVX");
        return;
    }
    RunningGuest guest("vector", "passes=200 pause_ms=500");
    std::string console;
    move_until_end(guest, 10, console, [](StateImage image) {
        VcpuState state = vcpu_state(image);
        constexpr std::uint64_t os_xsave = 1 << 18;
        const bool enabled = (state.sregs.cr4 & os_xsave) != 0;
        if (enabled) state.xcrs.xcrs[0].value = 7;
        return enabled ? with_vcpu_state(std::move(image), state) : image;
    });
    CHECK_THAT(console, Catch::Contains("vector: ok"));
}

TEST_CASE("a machine that was restored and has not run yet has the same state", "[kvm]") {
    RunningGuest guest("blkload", "op=mixed depth=32 seconds=20 wait=irq", 32 * mib);
    guest.build();
    guest.built.machine->start();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    RunningGuest other("blkload", "", 32 * mib);
    other.build();
    StateImage first;
    {
        const QuiesceGuard guard = guest.built.machine->quiesce();
        first = require(guest.built.machine->save());
        copy_ram(*guest.built.machine, *other.built.machine);
        require(other.built.machine->restore(first));
        const QuiesceGuard other_guard = other.built.machine->quiesce();
        const StateImage second = require(other.built.machine->save());
        REQUIRE(second.sections().size() == first.sections().size());
        for (const StateSection& section : first.sections()) {
            // Clocks and timers run on, even where nothing else does.
            if (section.name == "chips" || section.name == "clock" || section.name == "vcpu0")
                continue;
            INFO(section.name);
            CHECK((second.find(section.name)->payload == section.payload));
        }
    }
    guest.built.machine->request_end(GuestEnd::stopped);
}

TEST_CASE("whether a guest could go on is tried without a trace", "[kvm]") {
    RunningGuest guest("dirty", "mib=8 seconds=2");
    guest.build();
    guest.built.machine->start();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    RunningGuest other("dirty", "mib=8");
    other.build();
    {
        const QuiesceGuard guard = guest.built.machine->quiesce();
        const StateImage image = require(guest.built.machine->save());
        copy_ram(*guest.built.machine, *other.built.machine);
        require(other.built.machine->check(with_clocks(image)));
        for (std::size_t i = 0; i < other.built.machine->memory().regions().size(); ++i) {
            const MemoryRegion& before = guest.built.machine->memory().regions()[i];
            const MemoryRegion& after = other.built.machine->memory().regions()[i];
            CHECK(std::memcmp(before.host, after.host, after.size) == 0);
        }
        require(other.built.machine->check(image));
        require(other.built.machine->restore(image));
    }
    guest.built.machine->request_end(GuestEnd::stopped);
    other.built.machine->start();
    REQUIRE(other.has_ended(guest_wait_max));
    CHECK(other.end.get() == GuestEnd::power_off);
    other.built.machine.reset();
    CHECK_THAT(other.console(), Catch::Contains("dirty: ok"));
}

// Bytes of one section are altered, and its size now and then.
StateImage with_altered_section(StateImage image, const std::string& name,
                                std::minstd_rand& random) {
    const auto below = [&](std::size_t limit) { return random() % limit; };
    StateSection section = image.take(name);
    for (std::size_t count = 1 + below(2); count != 0 && !section.payload.empty(); --count) {
        std::uint8_t& byte = section.payload[below(section.payload.size())];
        byte = static_cast<std::uint8_t>(below(2) == 0 ? byte ^ 1U << below(8) : below(256));
    }
    if (below(16) == 0) section.payload.resize(below(section.payload.size() + 2));
    image.add(name, section.version, section.payload);
    return image;
}

TEST_CASE("a state that a machine accepts can be restored in it", "[kvm]") {
    RunningGuest guest("blkload", "op=mixed depth=32 seconds=60 wait=irq", 32 * mib);
    guest.options.disks.front().direct = true;
    guest.build();
    guest.built.machine->start();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    StateImage image;
    {
        const QuiesceGuard guard = guest.built.machine->quiesce();
        image = require(guest.built.machine->save());
        guest.built.machine->request_end(GuestEnd::stopped);
    }
    RunningGuest always("blkload", "", 32 * mib);
    always.build();
    const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
    std::minstd_rand random(seed + 1);
    unsigned accepted = 0;
    for (int number = 0; number < 150; ++number) {
        const StateSection& section = image.sections()[number % image.sections().size()];
        const StateImage tried = with_altered_section(image, section.name, random);
        RunningGuest target("blkload", "", 32 * mib);
        target.build();
        const Result<void> checked = target.built.machine->check(tried);
        INFO("--rng-seed " << seed << " number " << number << " section " << section.name);
        CHECK(always.built.machine->check(tried).ok() == checked.ok());
        CHECK(always.built.machine->check(image).ok());
        if (!checked.ok()) continue;
        ++accepted;
        const Result<void> restored = target.built.machine->restore(tried);
        INFO((restored.ok() ? "" : restored.error().message()));
        CHECK(restored.ok());
    }
    CHECK(accepted > 0);
    CHECK(accepted < 150);
}

TEST_CASE("what KVM tells of a guest and does not take back is left out", "[kvm]") {
    RunningGuest guest("hello", "");
    guest.build();
    StateImage image;
    {
        const QuiesceGuard guard = guest.built.machine->quiesce();
        image = require(guest.built.machine->save());
    }
    VcpuState state = vcpu_state(image);
    SECTION("an SMI that waits for the start-up interrupt") {
        state.mp_state.mp_state = KVM_MP_STATE_INIT_RECEIVED;
        state.events.flags |= KVM_VCPUEVENT_VALID_SMM;
        state.events.smi.pending = 1;
    }
    SECTION("CS.L outside long mode") {
        state.sregs.cs.l = 1;
    }
    state.make_restorable();
    RunningGuest other("hello", "");
    other.build();
    require(other.built.machine->check(with_vcpu_state(image, state)));
}

TEST_CASE("that this host cannot give a guest its TSC is known before it runs", "[kvm]") {
    RunningGuest guest("hello", "");
    guest.build();
    StateImage image;
    {
        const QuiesceGuard guard = guest.built.machine->quiesce();
        image = require(guest.built.machine->save());
    }
    VcpuState state = vcpu_state(image);
    if (state.tsc_khz == 0) return;  // this KVM does not tell
    state.tsc_khz = 0x7fffffff;      // no host scales by that much
    image = with_vcpu_state(std::move(image), state);
    RunningGuest other("hello", "");
    other.build();
    const Result<void> checked = other.built.machine->check(image);
    REQUIRE(!checked.ok());
    CHECK_THAT(checked.error().message(),
               Catch::Contains("vcpu0") && Catch::Contains("2147483647 kHz"));
}

// It may have asked for its end while somebody was about to save it. After a triple fault SVM
// leaves a vCPU that was reset, which would run the firmware that there is not.
TEST_CASE("a guest that has ended ends at once when it is restored", "[kvm]") {
    const auto [word, how] = GENERATE(table<std::string, GuestEnd>({
        {"poweroff", GuestEnd::power_off},
        {"reset", GuestEnd::reset},
        {"crash", GuestEnd::crash},
    }));
    INFO(word);
    RunningGuest guest("counter", "count=1 end=" + word);
    guest.build();
    guest.built.machine->start();
    REQUIRE(guest.has_ended(guest_wait_max));
    const StateImage image = [&] {
        const QuiesceGuard standing(*guest.built.machine);
        return require(guest.built.machine->save());
    }();
    RunningGuest restored("counter", "count=1");
    restored.build();
    copy_ram(*guest.built.machine, *restored.built.machine);
    require(restored.built.machine->restore(image));
    CHECK_FALSE(restored.has_ended());
    restored.built.machine->start();
    REQUIRE(restored.has_ended(guest_wait_max));
    CHECK(restored.end.get() == how);
}

}  // namespace fmvm::test
