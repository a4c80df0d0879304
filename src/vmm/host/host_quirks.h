// SPDX-License-Identifier: Apache-2.0
// What a Linux guest must be told on its command line when ring 0 is emulated.
#pragma once

#include <string>
#include <string_view>

#include "vmm/host/host_probe.h"

namespace fmvm {

// The kernel parameters this host needs beyond `command_line`, separated by spaces; empty when it
// needs none. A parameter that the user gave already, whatever its value, is left to the user.
// Put them *before* the user's command line: behind a "--" there they would go to init instead.
std::string host_quirk_parameters(Ring0Kind ring0, std::string_view command_line);

}  // namespace fmvm
