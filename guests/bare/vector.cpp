// SPDX-License-Identifier: Apache-2.0
// All sixteen AVX registers hold numbers that depend on each other, for as long as a pass takes;
// each pass is then repeated without them. A bit that a cut or a restore loses in any of them is
// found.
#include "lib/checksum.h"
#include "lib/clock.h"
#include "lib/cpu.h"
#include "lib/guest.h"
#include "lib/serial.h"

namespace bare {

constinit const std::string_view guest_name = "vector";

namespace {

constexpr int kRegisters = 16;
constexpr int kLanes = 4;

struct alignas(32) Registers {
    uint64_t lane[kRegisters][kLanes];
};

// Leaf 7 (Intel SDM 2A, "CPUID"); CALL_CPUID asks for its first sub-leaf.
bool has_avx2() {
    constexpr uint32_t kAvx2 = 1 << 5;
    return cpuid(0).eax >= 7 && (cpuid(7).ebx & kAvx2) != 0;
}

void enable_avx() {
    if (!has_avx2()) fail("this CPU has no AVX2");
    kernel_call(CALL_ENABLE_AVX);
    serial.write("vector: avx enabled\n");
}

// A KVM that did not see the write of XCR0 goes on with the one it knows after the next exit.
void check_enabled() {
    uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if (low != 7)
        fail(Text() << "XCR0 is " << Hex{low} << " now; this CPU does not intercept XSETBV");
}

// One step of the mixing: every register takes its neighbour's sum, and turns by a lane.
#define AVX_MIX(n, next)                           \
    "vpaddq %%ymm" #next ", %%ymm" #n ", %%ymm" #n \
    "\n\t"                                         \
    "vpermq $0x39, %%ymm" #n ", %%ymm" #n "\n\t"
#define AVX_LOAD(n) "vmovdqa 32*" #n "(%[at]), %%ymm" #n "\n\t"
#define AVX_STORE(n) "vmovdqa %%ymm" #n ", 32*" #n "(%[at])\n\t"
// The same of half a register.
#define SSE_MIX(n, next)             \
    "paddq %%xmm" #next ", %%xmm" #n \
    "\n\t"                           \
    "pshufd $0x4e, %%xmm" #n ", %%xmm" #n "\n\t"
#define SSE_LOAD(n) "movdqa 32*" #n "(%[at]), %%xmm" #n "\n\t"
#define SSE_STORE(n) "movdqa %%xmm" #n ", 32*" #n "(%[at])\n\t"
#define EACH(f) \
    f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15)
#define EACH_MIX(f)                                                                            \
    f(0, 1) f(1, 2) f(2, 3) f(3, 4) f(4, 5) f(5, 6) f(6, 7) f(7, 8) f(8, 9) f(9, 10) f(10, 11) \
        f(11, 12) f(12, 13) f(13, 14) f(14, 15) f(15, 0)
#define MIX_IN_REGISTERS(load, mix, store) \
    asm volatile(EACH(load) "1:\n\t" EACH_MIX(mix) "dec %[steps]\n\t"                            \
                                                   "jnz 1b\n\t" EACH(store)                       \
                 : [steps] "+r"(steps)                                                            \
                 : [at] "r"(&registers)                                                           \
                 : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",        \
                   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

void mix_in_registers(Registers& registers, uint64_t steps, int lanes) {
    if (lanes == kLanes) {
        MIX_IN_REGISTERS(AVX_LOAD, AVX_MIX, AVX_STORE);
    } else {
        MIX_IN_REGISTERS(SSE_LOAD, SSE_MIX, SSE_STORE);
    }
}

void mix_in_memory(Registers& registers, uint64_t steps, int lanes) {
    for (; steps != 0; --steps) {
        for (int n = 0; n < kRegisters; ++n) {
            uint64_t* const lane = registers.lane[n];
            const uint64_t* const next = registers.lane[(n + 1) % kRegisters];
            for (int i = 0; i < lanes; ++i)
                lane[i] += next[i];
            const uint64_t first = lane[0];
            for (int i = 0; i < lanes - 1; ++i)
                lane[i] = lane[i + 1];
            lane[lanes - 1] = first;
        }
    }
}

constinit Registers mixed = {}, expected = {};

void compare(uint64_t number) {
    for (int n = 0; n < kRegisters; ++n) {
        for (int i = 0; i < kLanes; ++i) {
            if (mixed.lane[n][i] == expected.lane[n][i]) continue;
            fail(Text() << "pass " << number << ": lane " << static_cast<uint32_t>(i) << " of ymm"
                        << static_cast<uint32_t>(n) << " holds " << Hex{mixed.lane[n][i], 16}
                        << " instead of " << Hex{expected.lane[n][i], 16});
        }
    }
}

void print(uint64_t number) {
    Text line;
    line << "vector " << number << ' '
         << Hex{crc32({reinterpret_cast<const char*>(&mixed), sizeof mixed}), 8} << '\n';
    serial.write(line.view());
}

}  // namespace

void run(const Options& options, Text& summary) {
    const Clock clock(options);
    const bool avx = options.flag("avx", true);
    if (avx) enable_avx();
    // Time for somebody to look at what was enabled.
    clock.sleep_until(rdtsc() + clock.ticks_from_us(options.number("pause_ms", 0) * 1000));
    const uint64_t passes = options.number("passes", 0);  // 0 = for ever
    const uint64_t steps = options.number("steps", 20000);
    const int lanes = avx ? kLanes : kLanes / 2;
    for (int n = 0; n < kRegisters; ++n) {
        for (int i = 0; i < kLanes; ++i)
            mixed.lane[n][i] = expected.lane[n][i] = static_cast<uint64_t>(n * kLanes + i + 1);
    }
    for (uint64_t number = 1; passes == 0 || number <= passes; ++number) {
        if (avx) check_enabled();
        mix_in_registers(mixed, steps, lanes);
        mix_in_memory(expected, steps, lanes);
        compare(number);
        print(number);
    }
    summary << "passes=" << passes;
}

}  // namespace bare
