// SPDX-License-Identifier: Apache-2.0
// A guest under protection in this process, from start to end: the machine, the service that keeps
// a backup in step (if there is to be one), signals and the terminal.
#pragma once

#include <memory>

#include "cli/machine_builder.h"
#include "lockstep/arbiter/arbiter.h"
#include "node/config/protection_options.h"

namespace fmvm::cli {

// Keeps freed memory for the next message: a protected guest sends and receives hundreds of large
// ones a second, and mapping each anew would cost more than copying it. Once, at the start.
void keep_message_memory();

// "hostname:pid:random": what a side is called at the arbiter; no two processes share it.
std::string make_side_name();

// Shared: a question to an arbiter that hangs may outlive everybody else.
Result<std::shared_ptr<lockstep::Arbiter>> open_arbiter(const node::ArbiterOptions& options,
                                                        const lockstep::VmId& vm,
                                                        const std::string& side);

// The generation's guest has ended in an orderly way: the next start need not ask whether it is
// still running. A failure, or an arbiter that does not answer for two seconds, is logged by
// `component`.
void mark_ended(const std::shared_ptr<lockstep::Arbiter>& arbiter, lockstep::Generation generation,
                std::string_view component);

// Console output, and writes that waited for their epoch, leave only while `generation` (asked on
// any thread, whoever is gone by then) is the newest. `lost_after`: the silence after which a peer
// takes this side for lost.
void guard_output(BuiltMachine& built, std::shared_ptr<lockstep::Arbiter> arbiter,
                  std::function<lockstep::Generation()> generation,
                  std::chrono::milliseconds lost_after);

}  // namespace fmvm::cli
