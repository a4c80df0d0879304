// SPDX-License-Identifier: Apache-2.0
// How a process that runs a guest takes its signals.
#pragma once

namespace fmvm::node {

// Sets what the signals do that fmvm handles in its own way. Once, before any thread exists.
void prepare_signals();

}  // namespace fmvm::node
