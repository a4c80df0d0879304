// SPDX-License-Identifier: Apache-2.0
// How long a primary that lost its backup waits before it looks for one again. The wait is short,
// unless the backup turns out unfit again and again (its disk fails, say): each attempt has the
// guest's disks compared.
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
    // A backup that was in step for so long is waited for the shortest time again.
    static constexpr std::chrono::seconds trusted_after{60};

    // A connection has ended on which the backup was in step for so long. unfit: it ended because
    // the backup is not equal any more, or could not be made equal.
    Duration next(Duration in_step, bool unfit) {
        if (!unfit) return shortest;
        if (in_step >= trusted_after) unfit_delay_ = shortest;
        return std::exchange(unfit_delay_, std::min<Duration>(unfit_delay_ * 2, longest));
    }

  private:
    Duration unfit_delay_ = shortest;
};

}  // namespace fmvm::lockstep
