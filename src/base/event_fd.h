// SPDX-License-Identifier: Apache-2.0
// eventfd(2): a counter that wakes whoever waits for it.
#pragma once

#include <sys/eventfd.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace fmvm {

// Non-blocking and close-on-exec.
inline Result<UniqueFd> create_eventfd() {
    UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return errno_error(errno, "eventfd failed");
    return fd;
}

// Adds one. Full (2^64 - 2 pending) is as good as signalled.
inline void signal_eventfd(int fd) {
    const std::uint64_t one = 1;
    FMVM_CHECK(::write(fd, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

}  // namespace fmvm
