// SPDX-License-Identifier: Apache-2.0
// Local APIC and I/O APIC (SDM vol. 3, chapter 11; Intel 82093AA data sheet). Ring 0 counts each
// interrupt per vector; ring 3 reads the counters, or halts until one moves.
#pragma once

#include <cstdint>

#include "cpu.h"

namespace bare {

constexpr uint8_t kTimerVector = 0x40;

void enable_local_apic();
uint8_t local_apic_id();

// Routes an I/O APIC pin (edge-triggered, to CPU 0), and returns its vector.
uint8_t route_interrupt(uint32_t pin);

// Delivery through the interrupt command register.
void send_fixed_ipi(uint8_t apic_id, uint8_t vector);
void send_init(uint8_t apic_id);
void send_startup(uint8_t apic_id, uint8_t page);

// One shot on this CPU's timer, which ticks in nanoseconds on KVM: a hint, so check the clock after
// it.
void start_timer(uint32_t nanoseconds);

uint64_t interrupt_count(uint8_t vector, uint32_t cpu = 0);

}  // namespace bare
