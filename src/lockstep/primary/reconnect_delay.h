// SPDX-License-Identifier: Apache-2.0
// How long a primary that lost its backup waits before it looks for one again: short, but for a
// backup that turns out unfit again and again (a failing disk), which would have the guest's disks
// compared all the time.
//
// Pure: time comes in as arguments.
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

namespace fmvm::lockstep {

class ReconnectDelay {
  public:
    using Duration = std::chrono::steady_clock::duration;
    static constexpr std::chrono::milliseconds shortest{500};
    static constexpr std::chrono::seconds longest{60};
    // A backup that was in step for so long has earned the shortest again.
    static constexpr std::chrono::seconds trusted_after{60};

    // A connection has ended, on which the backup was in step for so long; unfit: because the
    // backup is not equal any more, or could not be made equal.
    Duration next(Duration in_step, bool unfit) {
        if (!unfit) return shortest;
        if (in_step >= trusted_after) unfit_delay_ = shortest;
        return std::exchange(unfit_delay_, std::min<Duration>(unfit_delay_ * 2, longest));
    }

  private:
    Duration unfit_delay_ = shortest;
};

}  // namespace fmvm::lockstep
