// SPDX-License-Identifier: Apache-2.0
// Time by the TSC. Its frequency is `tsc_khz=` of the command line, else what kvmclock says.
#pragma once

#include <cstdint>

#include "options.h"

namespace bare {

class Clock {
  public:
    explicit Clock(const Options& options);

    uint64_t khz() const { return khz_; }
    uint64_t ticks_from_us(uint64_t us) const { return us * khz_ / 1000; }
    uint64_t us(uint64_t ticks) const { return scale(ticks, 1000); }
    uint64_t ns(uint64_t ticks) const { return scale(ticks, 1000000); }

    // Ticks between events that come `per_second` times a second.
    uint64_t period(uint64_t per_second) const { return khz_ * 1000 / per_second; }

    // Returns at the given TSC: halted while that is far, spinning when it is near. Another
    // interrupt ends the halt early, so a caller who serves interrupts looks at them after each
    // nap.
    void nap_until(uint64_t tsc) const;
    void sleep_until(uint64_t tsc) const;

  private:
    uint64_t scale(uint64_t ticks, uint64_t per_ms) const;

    uint64_t khz_;
};

}  // namespace bare
