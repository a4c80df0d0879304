// SPDX-License-Identifier: Apache-2.0
// Starting the application processors.
#pragma once

#include <cstdint>

#include "clock.h"
#include "machine.h"

namespace bare {

using CpuMain = void (*)(uint32_t cpu);

struct CpuSet {
    uint32_t count = 0;
    uint8_t apic_ids[MAX_CPUS] = {};  // CPU 0, which runs this, first
};

// From `cpus=N` (APIC IDs 0 to N - 1), else from the MP table, else this CPU alone.
CpuSet find_cpus(const Options& options);

// INIT and SIPI to all but CPU 0; each runs `main` with its index, in ring 3, then halts. Returns
// when all are there; ends the guest when one does not come. Indices follow the set: one starts at
// a time.
void start_cpus(const CpuSet& cpus, const Clock& clock, CpuMain main);

// Where start.S sends them.
[[noreturn]] void run_application_processor(uint32_t cpu);

}  // namespace bare
