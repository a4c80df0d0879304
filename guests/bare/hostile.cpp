// SPDX-License-Identifier: Apache-2.0
// Does everything wrong that a guest can do to its devices, from a seed, and now and then checks
// that a reset brings them back. The VMM must survive; the disk before its scratch area must stay
// as it was.
#include "hostile.h"

#include "lib/block_device.h"
#include "lib/boot_info.h"
#include "lib/guest.h"
#include "lib/memory.h"
#include "lib/serial.h"

namespace bare {

constinit const std::string_view guest_name = "hostile";

namespace {

constexpr uint64_t kHealEvery = 50;
constexpr uint8_t kReadableFill = 0xee;  // no valid request type

struct Attack {
    std::string_view name;
    void (*run)(Hostile&);
    uint64_t done = 0;
};

constinit Attack attacks[] = {
    {"ports", attack_ports},         {"mmio", attack_mmio},
    {"registers", attack_registers}, {"queues", attack_queue_addresses},
    {"chains", attack_chains},       {"resets", reset_in_flight},
    {"twice", offer_twice},
};

void find_scratch(Hostile& hostile, uint64_t scratch_mib) {
    const AllocationScope scope;
    for (uint32_t i = 0; i < hostile.devices.size(); ++i) {
        if (hostile.devices[i].kind() != DeviceKind::kBlock) continue;
        const uint64_t sectors = BlockDevice(hostile.devices[i], {}).sectors();
        hostile.sectors =
            hostile.sectors == 0 || sectors < hostile.sectors ? sectors : hostile.sectors;
    }
    if (hostile.sectors == 0) return;
    const uint64_t scratch = (scratch_mib << 20) / kSectorSize;
    if (scratch == 0 || scratch > hostile.sectors) fail("scratch_mib= does not fit the disk");
    hostile.first_scratch = hostile.sectors - scratch;
}

}  // namespace

uint64_t Hostile::nasty() {
    const uint64_t power = uint64_t{1} << random.below(64);
    switch (random.below(6)) {
        case 0:
            return power;
        case 1:
            return power - 1 - random.below(4);
        case 2:
            return power + random.below(512);
        case 3:
            return ram_end() - random.below(8192);
        case 4:
            return ~uint64_t{0} - random.below(64);
        default:
            return random.next() >> random.below(64);
    }
}

void run(const Options& options, Text& summary) {
    const Clock clock(options);
    const DeviceList devices(options);
    if (devices.size() == 0) fail("no virtio device to attack");
    const Pools pools = {allocate_pages(Pools::kReadable), allocate_pages(Pools::kWritable),
                         allocate_pages(Pools::kRings)};
    fill(reinterpret_cast<void*>(pools.readable), kReadableFill, Pools::kReadable);
    Hostile hostile{Random(options.number("seed", 1)), clock, devices, pools};
    find_scratch(hostile, options.number("scratch_mib", 1));

    const std::string_view only = options.text("only", "");
    const uint64_t steps = options.number("steps", 1000);
    const uint64_t report_every = options.number("report_steps", 1000);
    for (uint64_t step = 1; step <= steps; ++step) {
        Attack& attack = attacks[hostile.random.below(std::size(attacks))];
        if (!only.empty() && attack.name != only) continue;
        attack.run(hostile);
        ++attack.done;
        if (step % kHealEvery == 0) require_healthy(hostile);
        if (step % report_every == 0) {
            serial.write((Text() << "hostile step=" << step << '\n').view());
        }
    }
    require_healthy(hostile);
    summary << "steps=" << steps;
    for (const Attack& attack : attacks)
        summary << ' ' << attack.name << '=' << attack.done;
}

}  // namespace bare
