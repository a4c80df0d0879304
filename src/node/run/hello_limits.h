// SPDX-License-Identifier: Apache-2.0
// What a backup grants a primary that asks for it: its own limits, because a hello is all that is
// known of whoever sends one.
#pragma once

#include "base/result.h"
#include "lockstep/wire/messages.h"
#include "node/config/protection_options.h"

namespace fmvm::node {

// An error, one sentence for the primary, if it asks for more memory, or to be waited for longer
// after its last sign of life, than this backup grants.
Result<void> check_limits(const lockstep::HelloMessage& hello, const BackupCommandOptions& options);

}  // namespace fmvm::node
