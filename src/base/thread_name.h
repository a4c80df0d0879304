// SPDX-License-Identifier: Apache-2.0
// What a thread is called in `top -H` and /proc/PID/task/TID/comm.
#pragma once

#include <pthread.h>

#include <string>

namespace fmvm {

// The calling thread; at most 15 characters, or nothing changes.
inline void name_thread(const std::string& name) {
    ::pthread_setname_np(::pthread_self(), name.c_str());
}

}  // namespace fmvm
