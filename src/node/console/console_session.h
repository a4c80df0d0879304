// SPDX-License-Identifier: Apache-2.0
// Standard input as what is typed at a guest's console.
#pragma once

#include <functional>

#include "base/result.h"
#include "node/build/machine_builder.h"

namespace fmvm::node {

// Typed bytes go to the serial port; on a terminal, all but the operator's commands among them
// (escape_parser.h). Commands are heard even when the guest reads nothing any more; whatever else
// is typed then is lost. In the background of a terminal nothing is read. show_help is called, on
// the loop's thread, when the operator asks for help. The machine runs, or has not started.
Result<void> connect_input(BuiltMachine& built, std::function<void()> show_help);

}  // namespace fmvm::node
