// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/snapshot_command.h"

#include <filesystem>

#include "cli/report/report_answer.h"
#include "node/control/control_client.h"

namespace fmvm::cli {

namespace {

// The running fmvm may have another current directory.
std::string absolute_path(const std::string& path) {
    std::error_code ignored;
    std::filesystem::path absolute = std::filesystem::absolute(path, ignored).lexically_normal();
    if (!absolute.has_filename()) absolute = absolute.parent_path();  // a slash at the end
    return absolute.string();
}

}  // namespace

int snapshot_command(const SnapshotOptions& options) {
    JsonObject request;
    request.add("command", "snapshot")
        .add("to", absolute_path(options.to))
        .add("stop", options.stop);
    return report_answer(node::control_request(options.control, request));
}

}  // namespace fmvm::cli
