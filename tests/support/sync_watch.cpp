// SPDX-License-Identifier: Apache-2.0
#include "support/sync_watch.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"

namespace fmvm::test {

namespace {

SyncWatch::Handler current;

}  // namespace

SyncWatch::SyncWatch(Handler handler) {
    FMVM_CHECK(!current);
    current = std::move(handler);
}

SyncWatch::~SyncWatch() {
    current = nullptr;
}

// In front of the C library's.
extern "C" int fdatasync(int fd) {
    if (const std::optional<int> failure = current ? current(fd) : std::nullopt) {
        errno = *failure;
        return *failure == 0 ? 0 : -1;
    }
    return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

}  // namespace fmvm::test
