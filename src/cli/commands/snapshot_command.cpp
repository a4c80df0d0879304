// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/snapshot_command.h"

#include <filesystem>

#include "base/log.h"
#include "cli/report/exit_status.h"
#include "cli/report/report_error.h"
#include "node/build/snapshot.h"
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
    const std::string request =
        fmt::format("{{\"command\": \"snapshot\", \"to\": {}, \"stop\": {}}}",
                    json_quote(absolute_path(options.to)), options.stop);
    const Result<JsonValue> answer = node::control_request(options.control, request);
    if (!answer.ok()) return report_error(answer.error().message(), ExitStatus::failure);
    return to_int(ExitStatus::ok);
}

void serve_snapshots(node::ControlSocket& socket, Machine& machine) {
    socket.add("snapshot", [&machine](const JsonValue& request, const node::ControlReply& reply) {
        const JsonValue* const to = find_member(request, "to");
        const JsonValue* const stop = find_member(request, "stop");
        if (to == nullptr || to->kind != JsonValue::Kind::string || to->text.empty() ||
            to->text.find('\0') != std::string::npos) {
            return reply.error("snapshot needs \"to\", the directory to be made");
        }
        if (stop != nullptr && stop->kind != JsonValue::Kind::boolean)
            return reply.error("\"stop\" is true or false");
        const bool end = stop != nullptr && stop->boolean;
        const Result<void> taken = node::take_snapshot(
            machine, to->text, end ? node::AfterSnapshot::stop : node::AfterSnapshot::go_on);
        if (!taken.ok()) return reply.error(taken.error().message());
        log::info("run", "snapshot taken directory={} stop={}", to->text, end);
        reply.ok();
    });
}

}  // namespace fmvm::cli
