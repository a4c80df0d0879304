// SPDX-License-Identifier: Apache-2.0
#include "replay/image/block_set.h"

namespace fmvm::replay {

BlockRuns without(const BlockRuns& runs, const BlockRuns& others) {
    BlockRuns rest;
    auto other = others.begin();
    for (BlockRun run : runs) {
        while (other != others.end() && other->end <= run.first)
            ++other;
        // The last one may reach into the next run, too.
        for (auto cut = other; cut != others.end() && cut->first < run.end; ++cut) {
            if (cut->first > run.first) rest.push_back({run.first, cut->first});
            run.first = std::min(run.end, cut->end);
        }
        if (run.first < run.end) rest.push_back(run);
    }
    return rest;
}

}  // namespace fmvm::replay
