// SPDX-License-Identifier: Apache-2.0
// What this process says on standard error: the log, the progress of a command, the sentence that
// ends it. Nobody who says something waits for the reader; an ending waits for a second at most.
//
// Threads: every function may be called from any thread.
#pragma once

#include <chrono>

#include "base/background_writer.h"

namespace fmvm {

// How long an ending waits until its reader has taken what was said.
inline constexpr std::chrono::milliseconds last_words_limit{1000};

// Made when it is first asked for, and never destroyed: threads may say something until the very
// end.
BackgroundWriter& standard_error();

// The last thing in main: whatever was said gets its chance to be read.
void finish_standard_error();

// For a process that cannot go on: writes what was said before, then this, without allocating
// anything.
void say_last_words(const char* text);

}  // namespace fmvm
