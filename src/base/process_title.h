// SPDX-License-Identifier: Apache-2.0
// What ps and top show of this process.
#pragma once

#include <string>

namespace fmvm {

// In place of the command line, as much of it as that was long. The first word, 15 characters of it
// at most, names the calling thread. The arguments of main are gone then.
void set_process_title(const std::string& title);

}  // namespace fmvm
