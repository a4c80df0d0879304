// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/backup_search.h"

#include "base/log.h"

namespace fmvm::lockstep {

void BackupSearch::found(TimePoint now) {
    if (const auto lasted = without_.over(now))
        log::info("primary", "a backup was found after {}", *lasted);
}

std::optional<std::string> BackupSearch::failed(const std::string& peer, const std::string& reason,
                                                TimePoint now) {
    auto told = without_.is(fmt::format("no backup at {}: {}", peer, reason), now);
    if (told && delay_ > ReconnectDelay::shortest) {
        *told += fmt::format("; it is tried again in {} s",
                             std::chrono::duration_cast<std::chrono::seconds>(delay_).count());
    }
    return told;
}

}  // namespace fmvm::lockstep
