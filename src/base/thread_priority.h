// SPDX-License-Identifier: Apache-2.0
// Which thread goes first when several compete for a CPU.
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace fmvm {

// CPUs that the calling thread may run on; 1 when the host does not tell.
inline unsigned usable_cpus() {
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;  // more than 1024 CPUs
    return static_cast<unsigned>(CPU_COUNT(&set));
}

// Of a thread of this process; 0 is the calling one.
inline int niceness_of(pid_t thread) {
    return ::getpriority(PRIO_PROCESS, static_cast<id_t>(thread));
}

// A lower one than before takes CAP_SYS_NICE or RLIMIT_NICE; without it nothing changes.
inline void set_niceness(pid_t thread, int niceness) {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(thread), niceness);
}

// Before every thread of the usual class, whosever that is. Takes CAP_SYS_NICE or RLIMIT_RTPRIO;
// false: not permitted, and nothing has changed.
inline bool set_real_time(pid_t thread) {
    sched_param lowest{};
    lowest.sched_priority = 1;
    return ::sched_setscheduler(thread, SCHED_RR, &lowest) == 0;
}

}  // namespace fmvm
