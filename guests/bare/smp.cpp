// SPDX-License-Identifier: Apache-2.0
// All CPUs count together and exchange interrupts. Each pair of sender and receiver has a counter
// of its own (a vector for each sender, counted per CPU), so that every single IPI must show up,
// exactly once.
#include "lib/smp.h"

#include <atomic>

#include "lib/cpu.h"
#include "lib/guest.h"
#include "lib/interrupts.h"
#include "lib/serial.h"

namespace bare {

constinit const std::string_view guest_name = "smp";

namespace {

constexpr uint8_t kStormVector = 0x80;  // + sender
constexpr uint8_t kRingVector = 0xa0;   // + sender
constexpr uint64_t kAddsPerRound = 1000;
constexpr uint64_t kTimeoutUs = 30000000;

struct Shared {
    CpuSet cpus;
    const Clock* clock;
    uint64_t rounds;  // 0 = for ever
    uint64_t report_ticks;
    std::atomic<uint64_t> arrived;
    std::atomic<uint64_t> sum;
    std::atomic<bool> failed;
};

constinit Shared shared = {};

// One CPU speaks, the others stay silent.
[[noreturn]] void fail_once(const Text& why) {
    if (!shared.failed.exchange(true)) fail(why);
    for (;;)
        kernel_call(CALL_HALT);
}

template <class Condition>
void spin_until(Condition condition, uint32_t cpu, const char* what) {
    const uint64_t deadline = rdtsc() + shared.clock->ticks_from_us(kTimeoutUs);
    while (!condition()) {
        if (rdtsc() > deadline) fail_once(Text() << "CPU " << cpu << " waits in vain for " << what);
        relax();
    }
}

// The nth use of the barrier is over when n times all CPUs have arrived.
class Barrier {
  public:
    void pass(uint32_t cpu) {
        ++uses_;
        shared.arrived.fetch_add(1);
        const uint64_t all = uses_ * shared.cpus.count;
        spin_until([all] { return shared.arrived.load() >= all; }, cpu, "the others");
    }

  private:
    uint64_t uses_ = 0;
};

// Every CPU interrupts every other one, all at the same time, each acknowledged before the next.
void storm(uint32_t cpu, uint64_t round) {
    const auto vector = static_cast<uint8_t>(kStormVector + cpu);
    for (uint32_t step = 1; step < shared.cpus.count; ++step) {
        const uint32_t other = (cpu + step) % shared.cpus.count;
        send_fixed_ipi(shared.cpus.apic_ids[other], vector);
        spin_until([=] { return interrupt_count(vector, other) >= round; }, cpu,
                   "an acknowledgement");
        if (interrupt_count(vector, other) != round) fail_once(Text() << "an IPI came twice");
    }
}

// One interrupt goes around; each CPU is halted until it comes. No timeout here: a lost interrupt
// leaves its CPU halted, and the next barrier tells.
void ring(uint32_t cpu, uint64_t round) {
    const uint32_t next = (cpu + 1) % shared.cpus.count;
    const uint32_t previous = (cpu + shared.cpus.count - 1) % shared.cpus.count;
    const auto incoming = static_cast<uint8_t>(kRingVector + previous);
    const auto pass_on = [=] {
        send_fixed_ipi(shared.cpus.apic_ids[next], static_cast<uint8_t>(kRingVector + cpu));
    };
    if (cpu == 0) pass_on();
    while (interrupt_count(incoming, cpu) < round)
        wait_for_interrupt(incoming, round - 1);
    if (interrupt_count(incoming, cpu) != round) fail_once(Text() << "an IPI came twice");
    if (cpu != 0) pass_on();
}

void report(uint64_t round, uint64_t& due) {
    if (rdtsc() < due) return;
    serial.write((Text() << "smp round=" << round << " sum=" << shared.sum.load() << '\n').view());
    due = rdtsc() + shared.report_ticks;
}

void work(uint32_t cpu) {
    Barrier barrier;
    barrier.pass(cpu);  // nobody sends to a CPU that is still to be started
    uint64_t report_due = rdtsc() + shared.report_ticks;
    for (uint64_t round = 1; shared.rounds == 0 || round <= shared.rounds; ++round) {
        for (uint64_t i = 0; i < kAddsPerRound; ++i)
            shared.sum.fetch_add(1);
        storm(cpu, round);
        barrier.pass(cpu);
        if (shared.cpus.count > 1) ring(cpu, round);
        barrier.pass(cpu);
        if (cpu == 0) report(round, report_due);
    }
    barrier.pass(cpu);
}

}  // namespace

void run(const Options& options, Text& summary) {
    const Clock clock(options);
    shared.clock = &clock;
    shared.rounds = options.number("rounds", 1000);
    shared.report_ticks = clock.ticks_from_us(options.number("report_ms", 1000) * 1000);
    shared.cpus = find_cpus(options);
    serial.write((Text() << "smp: cpus=" << shared.cpus.count << '\n').view());
    start_cpus(shared.cpus, clock, work);
    work(0);
    const uint64_t expected = shared.rounds * kAddsPerRound * shared.cpus.count;
    if (shared.sum.load() != expected)
        fail(Text() << "sum " << shared.sum.load() << " not " << expected);
    summary << "cpus=" << shared.cpus.count << " rounds=" << shared.rounds << " ipis="
            << shared.rounds * shared.cpus.count * (shared.cpus.count - 1) +
                   (shared.cpus.count > 1 ? shared.rounds * shared.cpus.count : 0);
}

}  // namespace bare
