// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/verify_command.h"

#include <fmt/format.h>

#include <chrono>

#include "base/units.h"
#include "cli/report/exit_status.h"
#include "cli/report/print_result.h"
#include "cli/report/progress_line.h"
#include "cli/report/report_error.h"
#include "node/control/control_client.h"

namespace fmvm::cli {

namespace {

std::uint64_t number_in(const JsonValue& object, std::string_view key) {
    const JsonValue* const value = find_member(object, key);
    return value == nullptr ? 0 : value->number;
}

// line: of the answer; lines without progress are passed over.
void show_progress(ProgressLine& progress, const JsonValue& line,
                   std::chrono::steady_clock::time_point began) {
    const JsonValue* const figures = find_member(line, "progress");
    if (figures == nullptr) return;
    const auto total = static_cast<double>(number_in(*figures, "bytes_total"));
    const auto equal = static_cast<double>(number_in(*figures, "bytes_equal"));
    if (total == 0 || equal == 0) return;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began;
    const double per_second = equal / passed.count();
    progress.show(fmt::format("comparing disks: {:3.0f} %, {:.0f} MiB/s, {:.0f} s left",
                              100 * equal / total, per_second / static_cast<double>(mib),
                              (total - equal) / per_second));
}

}  // namespace

int verify_command(const VerifyCommandOptions& options) {
    const auto began = std::chrono::steady_clock::now();
    JsonObject request;
    request.add("command", "verify")
        .add("memory", options.compare.memory)
        .add("disks", options.compare.disks)
        .add("bytes_per_second", options.compare.bytes_per_second);
    ProgressLine progress;
    const Result<JsonValue> answer =
        node::control_request(options.control, request,
                              [&](const JsonValue& line) { show_progress(progress, line, began); });
    progress.clear();
    if (!answer.ok()) return report_error(answer.error());
    const JsonValue* const result = find_member(answer.value(), "result");
    const std::string text = result == nullptr ? "" : result->text;
    const JsonValue* const equal = find_member(answer.value(), "equal");
    if (equal == nullptr || !equal->boolean) return report_error(text, ExitStatus::different);
    return print_result(text + "\n");
}

}  // namespace fmvm::cli
