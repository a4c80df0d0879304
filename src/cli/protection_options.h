// SPDX-License-Identifier: Apache-2.0
// What `fmvm primary` and `fmvm backup` were asked to do beyond running a machine: plain values,
// validated.
#pragma once

#include <chrono>
#include <string>

#include "cli/run_options.h"
#include "lockstep/checkpointer.h"
#include "lockstep/endpoint.h"
#include "lockstep/primary.h"

namespace fmvm::cli {

// How a protected guest's disks get to the other side.
enum class BlockMode {
    none,    // not said: then there may be no disks
    shared,  // both sides see one and the same image
};

struct ArbiterOptions {
    bool none = false;  // asked for by name
    std::string path;   // file:PATH
};

struct PrimaryCommandOptions {
    RunOptions machine;
    lockstep::Endpoint backup;
    ArbiterOptions arbiter;
    bool restart = false;  // begin anew although the last run did not end in an orderly way
    BlockMode block = BlockMode::none;
    std::chrono::milliseconds heartbeat{20};
    std::chrono::milliseconds lost_after{200};
    lockstep::EpochPolicyOptions policy;
    lockstep::OnBackupLost on_backup_lost = lockstep::OnBackupLost::continue_alone;
    lockstep::CheckpointerOptions checkpointer;
    DirtyLogKind dirty_log = DirtyLogKind::bitmap;
    std::string trace;
};

struct BackupCommandOptions {
    RunOptions machine;  // disks, console and verbosity; the rest is the primary's to say
    lockstep::Endpoint listen;
    std::string directory;
    BlockMode block = BlockMode::none;
    ArbiterOptions arbiter;
};

// file:PATH | none
Result<ArbiterOptions> parse_arbiter(std::string_view text);
// kemari | epoch | adaptive
Result<lockstep::SyncMode> parse_sync(std::string_view text);
// continue | stop
Result<lockstep::OnBackupLost> parse_on_backup_lost(std::string_view text);
// shared
Result<BlockMode> parse_block_mode(std::string_view text);
// Disks need a mode.
Result<void> check_block_mode(BlockMode mode, const RunOptions& machine);
// 50ms, 200us, 1s; more than 0, at most an hour
Result<std::chrono::microseconds> parse_duration(std::string_view text);
Result<lockstep::Endpoint> parse_endpoint(std::string_view text);

// Unencrypted guest memory may leave this host only when that was asked for.
Result<void> check_plaintext(const char* option, const lockstep::Endpoint& endpoint, bool insecure);

}  // namespace fmvm::cli
