// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/key_command.h"

#include "cli/report/report_error.h"
#include "lockstep/channel/tls_key.h"

namespace fmvm::cli {

int key_command(const KeyOptions& options) {
    const Result<void> made = lockstep::create_tls_key(options.file);
    return made.ok() ? to_int(ExitStatus::ok) : report_error(made.error());
}

}  // namespace fmvm::cli
