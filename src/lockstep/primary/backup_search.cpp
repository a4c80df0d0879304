// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/backup_search.h"

#include "base/log.h"

namespace fmvm::lockstep {

void BackupSearch::tell(const std::string& peer, const std::string& reason) {
    if (is_news(reason)) {
        log::notice("primary", "no backup at {}: {}", peer, reason);
    } else {
        log::info("primary", "no backup at {}: {}", peer, reason);
    }
    told_ = reason;
}

BackupSearch::Duration BackupSearch::begin() const {
    if (delay_ > ReconnectDelay::shortest) {
        log::notice("primary", "the backup is looked for again in {} s",
                    std::chrono::duration_cast<std::chrono::seconds>(delay_).count());
    }
    return delay_;
}

}  // namespace fmvm::lockstep
