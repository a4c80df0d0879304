// SPDX-License-Identifier: Apache-2.0
#include "clock.h"

#include "cpu.h"
#include "guest.h"
#include "interrupts.h"
#include "kvm_clock.h"

namespace bare {
namespace {

// Switched on only for a moment: this clock is not read, and its page should not be dirtied for
// ever.
uint64_t khz_from_kvm_clock() {
    static constinit KvmClock clock;
    clock.on();
    clock.off();
    const uint64_t khz = clock.tsc_khz();
    if (khz == 0) fail("kvmclock was not filled in: give tsc_khz=");
    return khz;
}

// An interrupt costs about this much where ring 0 is emulated: nearer than this, spin.
constexpr uint64_t kSpinUs = 300;
constexpr uint64_t kLongestNapUs = 1000000;

}  // namespace

Clock::Clock(const Options& options) : khz_(options.number("tsc_khz", 0)) {
    if (khz_ != 0) return;
    if (!has_kvm_clock()) fail("no kvmclock: give tsc_khz=");
    khz_ = khz_from_kvm_clock();
}

// Whole milliseconds apart from the rest, so that nothing overflows for centuries.
uint64_t Clock::scale(uint64_t ticks, uint64_t per_ms) const {
    return ticks / khz_ * per_ms + ticks % khz_ * per_ms / khz_;
}

void Clock::nap_until(uint64_t tsc) const {
    const uint64_t now = rdtsc();
    if (now >= tsc) return;
    const uint64_t left_us = us(tsc - now);
    if (left_us <= kSpinUs) {
        while (rdtsc() < tsc)
            relax();
        return;
    }
    const uint64_t nap_us = left_us - kSpinUs < kLongestNapUs ? left_us - kSpinUs : kLongestNapUs;
    const uint64_t seen = interrupt_count(kTimerVector);
    start_timer(static_cast<uint32_t>(nap_us * 1000));
    wait_for_interrupt(kTimerVector, seen);
}

void Clock::sleep_until(uint64_t tsc) const {
    while (rdtsc() < tsc)
        nap_until(tsc);
}

}  // namespace bare
