// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/verify_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "cli/report/exit_status.h"
#include "cli/report/report_error.h"
#include "node/control/control_client.h"

namespace fmvm::cli {

namespace {

using Kind = lockstep::VerifyOutcome::Kind;

constexpr const char* clear_line = "\r\x1b[K";

std::uint64_t number_in(const JsonValue& object, std::string_view key) {
    const JsonValue* const value = find_member(object, key);
    return value == nullptr ? 0 : value->number;
}

// For somebody who watches; a pipe gets only the result.
void show_progress(const JsonValue& line, std::chrono::steady_clock::time_point began) {
    const JsonValue* const progress = find_member(line, "progress");
    if (progress == nullptr || ::isatty(STDERR_FILENO) != 1) return;
    const auto total = static_cast<double>(number_in(*progress, "bytes_total"));
    const auto equal = static_cast<double>(number_in(*progress, "bytes_equal"));
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began;
    const double per_second = equal / passed.count();
    if (total == 0 || equal == 0) return;
    fmt::print(stderr, "{}comparing disks: {:3.0f} %, {:.0f} MiB/s, {:.0f} s left", clear_line,
               100 * equal / total, per_second / static_cast<double>(mib),
               (total - equal) / per_second);
}

// True unless the request says otherwise.
Result<bool> wanted(const JsonValue& request, std::string_view key) {
    const JsonValue* const value = find_member(request, key);
    if (value == nullptr) return true;
    if (value->kind != JsonValue::Kind::boolean) return make_error("\"{}\" is true or false", key);
    return value->boolean;
}

Result<lockstep::VerifyOptions> options_in(const JsonValue& request) {
    lockstep::VerifyOptions options;
    options.memory = FMVM_TRY(wanted(request, "memory"));
    options.disks = FMVM_TRY(wanted(request, "disks"));
    const JsonValue* const rate = find_member(request, "bytes_per_second");
    if (rate == nullptr) return options;
    if (rate->kind != JsonValue::Kind::unsigned_integer || rate->number < mib)
        return Error("\"bytes_per_second\" is a whole number, at least 1048576");
    options.bytes_per_second = rate->number;
    return options;
}

}  // namespace

int verify_command(const VerifyCommandOptions& options) {
    const auto began = std::chrono::steady_clock::now();
    const std::string request = fmt::format(
        R"({{"command": "verify", "memory": {}, "disks": {}, "bytes_per_second": {}}})",
        options.compare.memory, options.compare.disks, options.compare.bytes_per_second);
    const Result<JsonValue> answer = node::control_request(
        options.control, request, [began](const JsonValue& line) { show_progress(line, began); });
    if (::isatty(STDERR_FILENO) == 1) fmt::print(stderr, "{}", clear_line);
    if (!answer.ok()) return report_error(answer.error().message(), ExitStatus::failure);
    const JsonValue* const result = find_member(answer.value(), "result");
    const std::string text = result == nullptr ? "" : result->text;
    const JsonValue* const equal = find_member(answer.value(), "equal");
    if (equal == nullptr || !equal->boolean) return report_error(text, ExitStatus::different);
    fmt::print("{}\n", text);
    return to_int(ExitStatus::ok);
}

void VerifyRequests::serve(node::ControlSocket& socket) {
    socket.add("verify", [this](const JsonValue& request, const node::ControlReply& reply) {
        begin(request, reply);
    });
}

void VerifyRequests::begin(const JsonValue& request, const node::ControlReply& reply) {
    const Result<lockstep::VerifyOptions> options = options_in(request);
    if (!options.ok()) return reply.error(options.error().message());
    if (reply_) return reply.error("a comparison is under way; wait for its end");
    reply_ = reply;
    service_.verify(options.value(),
                    {[this](const replay::ScrubProgress& now) {
                         boost::asio::post(control_, [this, now] { progress(now); });
                     },
                     [this](const lockstep::VerifyOutcome& outcome) {
                         boost::asio::post(control_, [this, outcome] { finished(outcome); });
                     }});
}

void VerifyRequests::progress(const replay::ScrubProgress& progress) {
    if (!reply_) return;
    const bool heard =
        reply_->line(fmt::format(R"({{"progress": {{"bytes_total": {}, "bytes_equal": {}}}}})",
                                 progress.bytes_total, progress.bytes_equal));
    if (!heard) service_.stop_verifying();
}

void VerifyRequests::finished(const lockstep::VerifyOutcome& outcome) {
    const std::optional<node::ControlReply> reply = std::exchange(reply_, std::nullopt);
    if (!reply) return;
    if (outcome.kind == Kind::unfinished) return reply->error("not compared: " + outcome.text);
    reply->ok(fmt::format(R"("equal": {}, "result": {})", outcome.kind == Kind::equal,
                          json_quote(outcome.text)));
}

}  // namespace fmvm::cli
