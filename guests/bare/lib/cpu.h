// SPDX-License-Identifier: Apache-2.0
// Instructions that C++ has no words for: ports, MMIO, time stamp, and the calls into ring 0.
#pragma once

#include <cstdint>

#include "machine.h"

namespace bare {

inline void out8(uint16_t port, uint8_t value) {
    asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

inline uint8_t in8(uint16_t port) {
    uint8_t value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

template <class T>
inline T mmio_read(uint64_t address) {
    T value;
    asm volatile("mov (%1), %0" : "=r"(value) : "r"(address) : "memory");
    return value;
}

template <class T>
inline void mmio_write(uint64_t address, T value) {
    asm volatile("mov %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

// Fenced, so that a stopwatch does not run ahead of what it times.
inline uint64_t rdtsc() {
    uint32_t low, high;
    asm volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
    return static_cast<uint64_t>(high) << 32 | low;
}

inline void relax() {
    asm volatile("pause" : : : "memory");
}

inline uint64_t kernel_call(uint32_t call, uint64_t first = 0, uint64_t second = 0) {
    uint64_t result = call;
    asm volatile("int3" : "+a"(result) : "D"(first), "S"(second) : "rbx", "rcx", "rdx", "memory");
    return result;
}

// Halts this CPU until the count of `vector` differs from `seen`, or any other interrupt came.
inline uint64_t wait_for_interrupt(uint8_t vector, uint64_t seen) {
    return kernel_call(CALL_WAIT, vector, seen);
}

inline void write_msr(uint32_t index, uint64_t value) {
    kernel_call(CALL_WRITE_MSR, index, value);
}

struct CpuidResult {
    uint32_t eax, ebx, ecx, edx;
};

// Executed in ring 0: some KVMs show the host's own CPUID to ring 3.
inline CpuidResult cpuid(uint32_t leaf) {
    CpuidResult result;
    kernel_call(CALL_CPUID, leaf, reinterpret_cast<uint64_t>(&result));
    return result;
}

}  // namespace bare
