// SPDX-License-Identifier: Apache-2.0
// Steps of long work, counted for the whole process: what may take seconds (a disk that is slow,
// all of a large guest's memory) says after each piece that it gets on. So a peer can tell a thread
// that is slow from one that is stuck (docs/life.md, "Alive means getting on").
//
// Threads: any.
#pragma once

#include <cstdint>

namespace fmvm {

// A piece of work is done. Costs a few nanoseconds, so a piece should take microseconds at least.
void work_step();
// Since the process began.
std::uint64_t work_steps();

}  // namespace fmvm
