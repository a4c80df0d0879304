// SPDX-License-Identifier: Apache-2.0
// `fmvm replay`: what --record wrote, carried out on copies of the starting images, or shown.
#pragma once

#include <string>
#include <vector>

#include "node/config/machine_options.h"
#include "replay/archive/log_replay.h"

namespace fmvm::cli {

struct ReplayOptions {
    enum class Do { replay, dump, dump_json };

    std::string log;
    Do what = Do::replay;
    std::vector<node::DiskOptions> disks;  // of Do::replay
    std::uint64_t until = replay::until_end;
};

// Returns the exit status.
int replay_command(const ReplayOptions& options);

}  // namespace fmvm::cli
