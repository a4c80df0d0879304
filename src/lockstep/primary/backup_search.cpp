// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/backup_search.h"

#include "base/log.h"

namespace fmvm::lockstep {

void BackupSearch::found(TimePoint now) {
    if (const auto lasted = without_.over(now))
        log::info("primary", "a backup was found after {}", *lasted);
}

void BackupSearch::failed(const std::string& peer, const std::string& reason, TimePoint now) {
    const auto told = without_.is(fmt::format("no backup at {}: {}", peer, reason), now);
    if (!told) return;
    if (delay_ > ReconnectDelay::shortest) {
        log::notice("primary", "{}; it is tried again in {} s", *told,
                    std::chrono::duration_cast<std::chrono::seconds>(delay_).count());
    } else {
        log::notice("primary", "{}", *told);
    }
}

}  // namespace fmvm::lockstep
