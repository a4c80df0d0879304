// SPDX-License-Identifier: Apache-2.0
#include "node/control/snapshot_requests.h"

#include "base/log.h"

namespace fmvm::node {

void serve_snapshots(ControlSocket& socket, Machine& machine, const GuestDisks& disks) {
    socket.add("snapshot", [&machine, disks](const JsonValue& request, const ControlReply& reply) {
        const JsonValue* const to = find_member(request, "to");
        const JsonValue* const stop = find_member(request, "stop");
        if (to == nullptr || to->kind != JsonValue::Kind::string || to->text.empty() ||
            to->text.find('\0') != std::string::npos) {
            return reply.error("snapshot needs \"to\", the directory to be made");
        }
        // Whoever asks may stand in another directory than this process does.
        if (!to->text.starts_with('/')) return reply.error("\"to\" is an absolute path");
        if (stop != nullptr && stop->kind != JsonValue::Kind::boolean)
            return reply.error("\"stop\" is true or false");
        const bool end = stop != nullptr && stop->boolean;
        const Result<void> taken = take_snapshot(machine, disks, to->text,
                                                 end ? AfterSnapshot::stop : AfterSnapshot::go_on);
        if (!taken.ok()) return reply.error(taken.error().message());
        log::info("run", "snapshot taken directory={} stop={}", to->text, end);
        reply.ok(
            JsonObject().add("result", fmt::format("the guest is saved in {}, and {}", to->text,
                                                   end ? "has ended here" : "goes on")));
    });
}

}  // namespace fmvm::node
