// SPDX-License-Identifier: Apache-2.0
// How a process that protects a guest reaches the guest's arbiter.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "lockstep/arbiter/arbiter.h"
#include "node/config/protection_options.h"

namespace fmvm::node {

// "hostname:pid:random": what a side is called at the arbiter; no two processes share it.
std::string make_side_name();

// Shared, because a question to an arbiter that hangs may outlive everybody else.
Result<std::shared_ptr<lockstep::Arbiter>> open_arbiter(const ArbiterOptions& options,
                                                        const lockstep::VmId& vm,
                                                        const std::string& side);

// Tells the arbiter that the generation's guest has ended in an orderly way: the next start need
// not ask whether it is still running. A failure, or an arbiter that does not answer for two
// seconds, is logged by `component`.
void mark_ended(const std::shared_ptr<lockstep::Arbiter>& arbiter, lockstep::Generation generation,
                std::string_view component);

}  // namespace fmvm::node
