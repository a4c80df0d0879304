// SPDX-License-Identifier: Apache-2.0
// The text of the values that `fmvm primary` and `fmvm backup` take beyond those of a machine, to
// typed values. Errors say what is wrong with the text and what is expected.
#pragma once

#include <chrono>
#include <string_view>

#include "lockstep/channel/endpoint.h"
#include "lockstep/checkpoint/checkpointer.h"
#include "lockstep/primary/primary_options.h"
#include "node/config/protection_options.h"

namespace fmvm::cli {

// file:PATH | none
Result<node::ArbiterOptions> parse_arbiter(std::string_view text);
// kemari | epoch | adaptive
Result<lockstep::SyncMode> parse_sync(std::string_view text);
// continue | stop
Result<lockstep::OnBackupLost> parse_on_backup_lost(std::string_view text);
// replay | copy | shared
Result<lockstep::BlockMode> parse_block_mode(std::string_view text);
// bitmap | ring
Result<DirtyLogKind> parse_dirty_log(std::string_view text);
// received | durable: whether an epoch must be durable to be acknowledged.
Result<bool> parse_acknowledgement(std::string_view text);
// on | off
Result<bool> parse_switch(std::string_view text);
// A path, which is not empty.
Result<std::string> parse_path(std::string_view text);
Result<lockstep::Endpoint> parse_endpoint(std::string_view text);

// 50ms, 200us, 1s; more than 0, at most an hour
Result<std::chrono::microseconds> parse_duration(std::string_view text);
// The same, at least 1ms.
Result<std::chrono::milliseconds> parse_milliseconds(std::string_view text);

// A size of at least 1M, as a number of pages.
Result<std::uint64_t> parse_dirty_budget(std::string_view text);
// A size of 1M to 1T, in bytes.
Result<std::uint64_t> parse_staging(std::string_view text);
// auto | off | delta | delta+lz4
Result<void> take_compression(lockstep::CheckpointerOptions& options, std::string_view text);

// psk:FILE; the file.
Result<std::string> parse_tls(std::string_view text);

// Of an endpoint that is talked to in the clear: it does not leave this host.
Result<void> check_plaintext(const char* option, const lockstep::Endpoint& endpoint);

}  // namespace fmvm::cli
