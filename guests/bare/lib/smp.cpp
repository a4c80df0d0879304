// SPDX-License-Identifier: Apache-2.0
#include "smp.h"

#include <atomic>

#include "cpu.h"
#include "guest.h"
#include "interrupts.h"
#include "memory.h"

extern "C" {
extern const char ap_trampoline[], ap_trampoline_end[];
}

namespace bare {
namespace {

// Intel MultiProcessor Specification 1.4, chapter 4.
struct [[gnu::packed]] FloatingPointer {
    uint32_t signature, table;
    uint8_t length, revision, checksum, features[5];
};

struct [[gnu::packed]] ConfigurationTable {
    uint32_t signature;
    uint16_t length;
    uint8_t revision, checksum;
    char oem[20];
    uint32_t oem_table;
    uint16_t oem_size, entries;
    uint32_t local_apic;
    uint16_t extended_length;
    uint8_t extended_checksum, reserved;
};

struct [[gnu::packed]] ProcessorEntry {
    uint8_t type, apic_id, version, flags;
    uint32_t signature, features, reserved[2];
};

constexpr uint32_t kFloatingSignature = 0x5f504d5f;  // "_MP_"
constexpr uint32_t kTableSignature = 0x504d4350;     // "PCMP"
constexpr uint8_t kProcessor = 0, kProcessorEnabled = 1;
constexpr uint64_t kOtherEntrySize = 8;
constexpr uint64_t kStartTimeoutUs = 2000000;
constexpr uint64_t kRetryUs = 200000;

constinit CpuMain cpu_main = nullptr;
constinit std::atomic<uint32_t> cpus_ready = 1;

bool sums_to_zero(uint64_t address, uint64_t size) {
    uint8_t sum = 0;
    for (uint64_t i = 0; i < size; ++i)
        sum = static_cast<uint8_t>(sum + *reinterpret_cast<uint8_t*>(address + i));
    return sum == 0;
}

const ConfigurationTable* find_table(uint64_t from, uint64_t to) {
    for (uint64_t address = from; address + sizeof(FloatingPointer) <= to; address += 16) {
        const auto* pointer = reinterpret_cast<const FloatingPointer*>(address);
        if (pointer->signature != kFloatingSignature || !sums_to_zero(address, sizeof *pointer))
            continue;
        const auto* table = reinterpret_cast<const ConfigurationTable*>(uint64_t{pointer->table});
        if (table->signature == kTableSignature && sums_to_zero(pointer->table, table->length))
            return table;
    }
    return nullptr;
}

void add(CpuSet& cpus, uint8_t apic_id) {
    if (apic_id == local_apic_id()) return;
    if (cpus.count == MAX_CPUS) fail(Text() << "more than " << uint32_t{MAX_CPUS} << " CPUs");
    cpus.apic_ids[cpus.count++] = apic_id;
}

void add_from_table(CpuSet& cpus, const ConfigurationTable& table) {
    uint64_t address = reinterpret_cast<uint64_t>(&table) + sizeof table;
    for (uint16_t i = 0; i < table.entries; ++i) {
        const auto* entry = reinterpret_cast<const ProcessorEntry*>(address);
        if (entry->type == kProcessor && (entry->flags & kProcessorEnabled))
            add(cpus, entry->apic_id);
        address += entry->type == kProcessor ? sizeof *entry : kOtherEntrySize;
    }
}

bool wait_for_start(uint32_t cpu, uint64_t deadline) {
    while (cpus_ready.load() <= cpu) {
        if (rdtsc() > deadline) return false;
        relax();
    }
    return true;
}

}  // namespace

CpuSet find_cpus(const Options& options) {
    CpuSet cpus;
    cpus.apic_ids[cpus.count++] = local_apic_id();
    if (const uint64_t wanted = options.number("cpus", 0)) {
        for (uint64_t id = 0; id < wanted; ++id)
            add(cpus, static_cast<uint8_t>(id));
        return cpus;
    }
    // Where the specification puts it: the last KiB of base memory, or the BIOS area.
    const ConfigurationTable* table = find_table(0x9fc00, 0xa0000);
    if (table == nullptr) table = find_table(0xf0000, 0x100000);
    if (table != nullptr) add_from_table(cpus, *table);
    return cpus;
}

void start_cpus(const CpuSet& cpus, const Clock& clock, CpuMain main) {
    cpu_main = main;
    copy(reinterpret_cast<void*>(TRAMPOLINE_ADDRESS), ap_trampoline,
         static_cast<size_t>(ap_trampoline_end - ap_trampoline));
    for (uint32_t cpu = 1; cpu < cpus.count; ++cpu) {
        const uint64_t begun = rdtsc();
        const uint8_t id = cpus.apic_ids[cpu];
        send_init(id);
        send_startup(id, TRAMPOLINE_ADDRESS >> 12);
        if (wait_for_start(cpu, begun + clock.ticks_from_us(kRetryUs))) continue;
        send_startup(id, TRAMPOLINE_ADDRESS >> 12);  // SDM vol. 3, 9.4.4.1: once more
        if (!wait_for_start(cpu, begun + clock.ticks_from_us(kStartTimeoutUs))) {
            fail(Text() << "CPU with APIC ID " << uint32_t{id} << " did not start");
        }
    }
}

void run_application_processor(uint32_t cpu) {
    enable_local_apic();  // before this, an IPI to this CPU would be lost
    cpus_ready.fetch_add(1);
    cpu_main(cpu);
    for (;;)
        kernel_call(CALL_HALT);
}

}  // namespace bare
