// SPDX-License-Identifier: Apache-2.0
#include "node/control/verify_requests.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "base/units.h"

namespace fmvm::node {

namespace {

using Kind = lockstep::VerifyOutcome::Kind;

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

void VerifyRequests::serve(ControlSocket& socket) {
    socket.add("verify", [this](const JsonValue& request, const ControlReply& reply) {
        begin(request, reply);
    });
}

void VerifyRequests::begin(const JsonValue& request, const ControlReply& reply) {
    const Result<lockstep::VerifyOptions> options = options_in(request);
    if (!options.ok()) return reply.error(options.error().message());
    if (reply_) return reply.error("a comparison is under way; wait for its end");
    reply_ = reply;
    service_.verify(options.value(),
                    {[this](const replay::ScrubProgress& now) {
                         boost::asio::post(control_, tasks_.bind([this, now] { progress(now); }));
                     },
                     [this](const lockstep::VerifyOutcome& outcome) {
                         boost::asio::post(control_,
                                           tasks_.bind([this, outcome] { finished(outcome); }));
                     }});
}

void VerifyRequests::progress(const replay::ScrubProgress& progress) {
    if (!reply_) return;
    JsonObject figures;
    figures.add("bytes_total", progress.bytes_total).add("bytes_equal", progress.bytes_equal);
    const bool heard = reply_->line(JsonObject().add("progress", figures));
    if (!heard) service_.stop_verifying();
}

void VerifyRequests::finished(const lockstep::VerifyOutcome& outcome) {
    const std::optional<ControlReply> reply = std::exchange(reply_, std::nullopt);
    if (!reply) return;
    if (outcome.kind == Kind::unfinished) return reply->error("not compared: " + outcome.text);
    reply->ok(JsonObject().add("equal", outcome.kind == Kind::equal).add("result", outcome.text));
}

}  // namespace fmvm::node
