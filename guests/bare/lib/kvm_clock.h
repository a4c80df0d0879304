// SPDX-License-Identifier: Apache-2.0
// kvmclock: the page of each CPU into which KVM writes how to turn the TSC into nanoseconds.
// Linux Documentation/virt/kvm/x86/{cpuid,msr}.rst.
#pragma once

#include <cstdint>

namespace bare {

bool has_kvm_clock();

class KvmClock {
  public:
    // This CPU's page is filled in from now on, until off(). The object must not move.
    void on();
    void off();

    // The TSC's frequency; 0: the page is not filled in.
    uint64_t tsc_khz() const;

    struct Reading {
        uint64_t tsc;
        uint64_t ns;
        bool stable;  // the same on every CPU
    };
    // On the CPU that switched it on.
    Reading read() const;

  private:
    struct alignas(64) Page {
        uint32_t version, pad0;
        uint64_t tsc_timestamp, system_time;
        uint32_t tsc_to_system_mul;
        int8_t tsc_shift;
        uint8_t flags, pad[2];
    };

    volatile Page page_ = {};
};

}  // namespace bare
