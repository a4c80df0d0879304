// SPDX-License-Identifier: Apache-2.0
#include "kvm_clock.h"

#include "cpu.h"

namespace bare {
namespace {

constexpr uint32_t kHypervisorLeaf = 0x40000000;
constexpr uint32_t kKvmInEbx = 0x4b4d564b;  // "KVMK"
constexpr uint32_t kFeatureClockSource2 = 1 << 3;
constexpr uint32_t kMsrSystemTime = 0x4b564d01;
constexpr uint8_t kStableOnAllCpus = 1;

}  // namespace

bool has_kvm_clock() {
    return cpuid(kHypervisorLeaf).ebx == kKvmInEbx &&
           (cpuid(kHypervisorLeaf + 1).eax & kFeatureClockSource2) != 0;
}

void KvmClock::on() {
    write_msr(kMsrSystemTime, reinterpret_cast<uint64_t>(&page_) | 1);
}

void KvmClock::off() {
    write_msr(kMsrSystemTime, 0);
}

// ns = (tsc << shift) * multiplier / 2^32
uint64_t KvmClock::tsc_khz() const {
    const uint64_t multiplier = page_.tsc_to_system_mul;
    if (multiplier == 0) return 0;
    // KVM rounds the multiplier down: the nearest frequency that it can be of.
    uint64_t scaled = uint64_t{1000000} << 33;  // with room for shifts of -10: 1 THz
    scaled = page_.tsc_shift < 0 ? scaled << -page_.tsc_shift : scaled >> page_.tsc_shift;
    return (scaled / multiplier + 1) / 2;
}

// An odd version: KVM is writing.
KvmClock::Reading KvmClock::read() const {
    for (;;) {
        const uint32_t version = page_.version;
        const uint64_t tsc = rdtsc();
        uint64_t delta = tsc - page_.tsc_timestamp;
        delta = page_.tsc_shift < 0 ? delta >> -page_.tsc_shift : delta << page_.tsc_shift;
        const auto passed = static_cast<unsigned __int128>(delta) * page_.tsc_to_system_mul;
        const uint64_t ns = page_.system_time + static_cast<uint64_t>(passed >> 32);
        const bool stable = (page_.flags & kStableOnAllCpus) != 0;
        if (version % 2 == 0 && version == page_.version) return {tsc, ns, stable};
        relax();
    }
}

}  // namespace bare
