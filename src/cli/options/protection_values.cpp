// SPDX-License-Identifier: Apache-2.0
#include "cli/options/protection_values.h"

#include <charconv>

#include "cli/options/option_values.h"

namespace fmvm::cli {

Result<node::ArbiterOptions> parse_arbiter(std::string_view text) {
    constexpr std::string_view file = "file:";
    if (text == "none") return node::ArbiterOptions{true, {}};
    if (!text.starts_with(file)) return make_error("'{}' is not file:PATH or none", text);
    text.remove_prefix(file.size());
    if (text.starts_with('/')) return node::ArbiterOptions{false, std::string(text)};
    return make_error(
        "'{}' is not an absolute path; begin it with /, so that it means the same to every start",
        text);
}

Result<lockstep::SyncMode> parse_sync(std::string_view text) {
    if (text == "kemari") return lockstep::SyncMode::kemari;
    if (text == "epoch") return lockstep::SyncMode::epoch;
    if (text == "adaptive") return lockstep::SyncMode::adaptive;
    return make_error("'{}' is not kemari, epoch or adaptive", text);
}

Result<lockstep::OnBackupLost> parse_on_backup_lost(std::string_view text) {
    if (text == "continue") return lockstep::OnBackupLost::continue_alone;
    if (text == "stop") return lockstep::OnBackupLost::stop;
    return make_error("'{}' is not continue or stop", text);
}

Result<lockstep::BlockMode> parse_block_mode(std::string_view text) {
    if (text == "replay") return lockstep::BlockMode::replay;
    if (text == "copy") return lockstep::BlockMode::copy;
    if (text == "shared") return lockstep::BlockMode::shared;
    return make_error("'{}' is not replay, copy or shared", text);
}

Result<DirtyLogKind> parse_dirty_log(std::string_view text) {
    if (text == "bitmap") return DirtyLogKind::bitmap;
    if (text == "ring") return DirtyLogKind::ring;
    return make_error("'{}' is not bitmap or ring", text);
}

Result<bool> parse_acknowledgement(std::string_view text) {
    if (text == "received") return false;
    if (text == "durable") return true;
    return make_error("'{}' is not received or durable", text);
}

Result<bool> parse_switch(std::string_view text) {
    if (text == "on") return true;
    if (text == "off") return false;
    return make_error("'{}' is not on or off", text);
}

Result<std::string> parse_path(std::string_view text) {
    if (text.empty()) return Error("is empty; give a path");
    return std::string(text);
}

Result<lockstep::Endpoint> parse_endpoint(std::string_view text) {
    return lockstep::Endpoint::parse(std::string(text));
}

Result<std::chrono::microseconds> parse_duration(std::string_view text) {
    constexpr std::uint64_t hour_us = 3'600'000'000;
    std::uint64_t number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit = text.substr(static_cast<std::size_t>(rest - text.data()));
    const std::uint64_t factor = unit == "us" ? 1 : unit == "ms" ? 1000 : unit == "s" ? 1000000 : 0;
    if (error != std::errc() || factor == 0)
        return make_error("'{}' is not a time, such as 500us, 20ms or 1s", text);
    if (number == 0 || number > hour_us / factor)
        return make_error("'{}' is out of range; give 1us to 3600s", text);
    return std::chrono::microseconds(number * factor);
}

Result<std::chrono::milliseconds> parse_milliseconds(std::string_view text) {
    const std::chrono::microseconds duration = FMVM_TRY(parse_duration(text));
    if (duration < std::chrono::milliseconds(1)) return Error("give at least 1ms");
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

Result<std::uint64_t> parse_dirty_budget(std::string_view text) {
    const std::uint64_t bytes = FMVM_TRY(parse_size(text));
    if (bytes < mib) return Error("give 1M or more");
    return bytes / page_size;
}

Result<std::uint64_t> parse_staging(std::string_view text) {
    const std::uint64_t bytes = FMVM_TRY(parse_size(text));
    if (bytes < mib || bytes > 1024 * gib) return Error("give 1M to 1T");
    return bytes;
}

Result<void> take_compression(lockstep::CheckpointerOptions& options, std::string_view text) {
    const bool all = text == "delta+lz4";
    if (text == "off") {
        options.compression = {false, false};
    } else if (text == "delta") {
        options.compression = {true, false};
    } else if (text == "auto" || all) {
        options.compression = {true, true};
    } else {
        return make_error("'{}' is not auto, off, delta or delta+lz4", text);
    }
    if (all) options.lz4_pages_max = lockstep::CheckpointerOptions::lz4_all;
    return {};
}

Result<std::string> parse_tls(std::string_view text) {
    constexpr std::string_view psk = "psk:";
    if (text.starts_with(psk) && text.size() > psk.size())
        return std::string(text.substr(psk.size()));
    return make_error("'{}' is not psk:FILE, with a file that fmvm key create made", text);
}

Result<void> check_plaintext(const char* option, const lockstep::Endpoint& endpoint) {
    if (endpoint.is_loopback()) return {};
    return make_error(
        "{} {}: the guest's memory would cross the network in the clear; add --tls psk:FILE on "
        "both "
        "sides (fmvm key create), or --insecure-plaintext if that network is yours alone",
        option, endpoint.text());
}

}  // namespace fmvm::cli
