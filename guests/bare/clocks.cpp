// SPDX-License-Identifier: Apache-2.0
// Every CPU watches its clocks. The TSC may not go back on any CPU and, where KVM says that the
// clocks are the same on all, neither may any of the two from one CPU to another. Where KVM does
// not say so, kvmclock may go back a little whenever KVM sets its page anew, as guests know (Linux,
// pvclock_clocksource_read, goes on from the latest of any CPU then): how much is told. CPU 0
// prints what both have counted and how large their largest steps were, for somebody outside to
// compare with a clock of his own.
#include "lib/kvm_clock.h"

#include <atomic>

#include "lib/checksum.h"
#include "lib/cpu.h"
#include "lib/guest.h"
#include "lib/serial.h"
#include "lib/smp.h"

namespace bare {

constinit const std::string_view guest_name = "clocks";

namespace {

struct Shared {
    CpuSet cpus;
    std::atomic<uint64_t> tsc;  // the latest that any CPU has seen
    std::atomic<uint64_t> ns;
    std::atomic<bool> done;
    std::atomic<bool> failed;
};

constinit Shared shared = {};
KvmClock clocks[MAX_CPUS];

[[noreturn]] void went_back(const char* clock, const char* where, uint32_t cpu, uint64_t from,
                            uint64_t to) {
    if (!shared.failed.exchange(true)) {
        fail(Text() << "CPU " << cpu << ": " << clock << " goes back " << where << " by "
                    << from - to << " from " << from);
    }
    for (;;)
        kernel_call(CALL_HALT);
}

// One clock as one CPU has seen it.
class Watched {
  public:
    Watched(const char* name, std::atomic<uint64_t>& latest) : name_(name), latest_(latest) {}

    void start(uint64_t now) { first_ = last_ = now; }
    // seen: the latest of any CPU, looked up before `now` was read; 0: they are not comparable.
    void take(uint32_t cpu, uint64_t now, uint64_t seen, bool may_go_back = false) {
        if (now < last_ && may_go_back) {
            if (last_ - now > furthest_back_) furthest_back_ = last_ - now;
            now = last_;
        }
        if (now < last_) went_back(name_, "on its own", cpu, last_, now);
        if (now < seen) went_back(name_, "from another's", cpu, seen, now);
        const uint64_t step = now - last_;
        if (step > largest_) largest_ = step;
        last_ = now;
        uint64_t latest = latest_.load();
        while (latest < now && !latest_.compare_exchange_weak(latest, now)) {
        }
    }
    uint64_t counted() const { return last_ - first_; }
    uint64_t largest() const { return largest_; }
    uint64_t furthest_back() const { return furthest_back_; }
    uint64_t latest() const { return latest_.load(); }

  private:
    const char* const name_;
    std::atomic<uint64_t>& latest_;
    uint64_t first_ = 0, last_ = 0, largest_ = 0, furthest_back_ = 0;
};

class Watcher {
  public:
    explicit Watcher(uint32_t cpu) : cpu_(cpu) {
        clocks[cpu].on();
        const KvmClock::Reading now = clocks[cpu].read();
        tsc.start(now.tsc);
        ns.start(now.ns);
    }
    void look() {
        const uint64_t seen_tsc = tsc.latest(), seen_ns = ns.latest();
        const KvmClock::Reading now = clocks[cpu_].read();
        tsc.take(cpu_, now.tsc, now.stable ? seen_tsc : 0);
        ns.take(cpu_, now.ns, now.stable ? seen_ns : 0, !now.stable);
    }

    Watched tsc{"the TSC", shared.tsc};
    Watched ns{"kvmclock", shared.ns};

  private:
    const uint32_t cpu_;
};

void watch(uint32_t cpu) {
    Watcher watcher(cpu);
    while (!shared.done.load()) {
        watcher.look();
        relax();
    }
}

void print(const Watcher& watcher, uint64_t number, const Clock& clock) {
    Text line;
    line << "clocks " << number << " tsc_us=" << clock.us(watcher.tsc.counted())
         << " kvm_us=" << watcher.ns.counted() / 1000
         << " tsc_step_us=" << clock.us(watcher.tsc.largest())
         << " kvm_step_us=" << watcher.ns.largest() / 1000
         << " kvm_back_us=" << watcher.ns.furthest_back() / 1000;
    const uint32_t crc = crc32(line.view());
    line << ' ' << Hex{crc, 8} << '\n';
    serial.write(line.view());
}

}  // namespace

void run(const Options& options, Text& summary) {
    if (!has_kvm_clock()) fail("no kvmclock");
    const Clock clock(options);
    const uint64_t count = options.number("count", 0);  // 0 = for ever
    const uint64_t period = clock.period(options.number("rate", 20));
    shared.cpus = find_cpus(options);
    start_cpus(shared.cpus, clock, watch);
    Watcher watcher(0);
    uint64_t due = rdtsc();
    for (uint64_t number = 1; count == 0 || number <= count; ++number) {
        for (due += period; rdtsc() < due;) {
            watcher.look();
            clock.nap_until(rdtsc() + clock.ticks_from_us(1000));
        }
        watcher.look();
        print(watcher, number, clock);
    }
    shared.done = true;
    summary << "cpus=" << shared.cpus.count << " lines=" << count;
}

}  // namespace bare
