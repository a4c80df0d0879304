// SPDX-License-Identifier: Apache-2.0
// What a guest provides, and how it ends.
#pragma once

#include <string_view>

#include "options.h"
#include "text.h"

namespace bare {

// Provided by each guest. `run` is its life, on CPU 0 in ring 3; what it adds to `summary` stands
// in the last line, `<guest>: ok <summary>`, printed before the guest ends as `end=` says.
extern const std::string_view guest_name;
void run(const Options& options, Text& summary);

// Prints `<guest>: FAILED <why>` and resets the machine.
[[noreturn]] void fail(const Text& why);
[[noreturn]] void fail(std::string_view why);

}  // namespace bare
