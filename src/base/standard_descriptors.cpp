// SPDX-License-Identifier: Apache-2.0
#include "base/standard_descriptors.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

namespace fmvm {

Result<void> prepare_standard_descriptors() {
    ::signal(SIGPIPE, SIG_IGN);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) >= 0) continue;
        // All below are open: it gets the lowest number that is free.
        if (::open("/dev/null", O_RDONLY) != fd)
            return errno_error(errno, fmt::format("standard descriptor {} is closed, and /dev/null "
                                                  "cannot be opened in its place",
                                                  fd));
    }
    return {};
}

}  // namespace fmvm
