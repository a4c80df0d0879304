// SPDX-License-Identifier: Apache-2.0
// The end of a process in which something was thrown that nobody expects: memory has run out, or
// descriptors, or a library gives up. Nothing is tidied up, because whatever stands half done is
// then best left alone: for the guest, its disks and the other side it is as if the host had died,
// which all of them bear. But somebody is told why, the terminal is restored (at_quick_exit), and
// the exit status is that of a failure of fmvm.
//
// Threads: every function may be called from any thread.
#pragma once

#include <span>

namespace fmvm {

// The exit status of such an end; ExitStatus::failure of the command line.
inline constexpr int failed_process_status = 1;

// In a catch block: what was caught, as a part of a sentence, with the remedy if one is known.
// Allocates nothing.
void describe_exception(std::span<char> text) noexcept;

// In a catch block. Names the calling thread.
[[noreturn]] void end_process_by_exception() noexcept;

// First thing in main: what is thrown where nothing may be (destructors, noexcept functions,
// threads of libraries) ends the process in the same way.
void prepare_process_end();

}  // namespace fmvm
