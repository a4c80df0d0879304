// SPDX-License-Identifier: Apache-2.0
// Starts a thread of ours. Each has a name, and what is thrown in one ends the process with a
// sentence (process_end.h): a side that has lost one of its threads must not seem to live.
#pragma once

#include <functional>
#include <string>
#include <thread>

namespace fmvm {

// name: at most 15 characters, seen in `top -H`, in /proc/PID/task/TID/comm and in the sentence.
// Throws std::system_error, which names the thread, when the host has none to give.
std::thread start_thread(const std::string& name, std::function<void()> body);

}  // namespace fmvm
