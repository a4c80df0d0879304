// SPDX-License-Identifier: Apache-2.0
#include "node/run/stop_signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

namespace fmvm::node {

std::vector<int> stop_signals() {
    std::vector<int> numbers{SIGTERM};
    for (const int number : {SIGINT, SIGHUP}) {
        struct sigaction inherited {};
        ::sigaction(number, nullptr, &inherited);
        if (inherited.sa_handler != SIG_IGN) numbers.push_back(number);
    }
    return numbers;
}

Result<StopSignals> StopSignals::take() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : stop_signals())
        ::sigaddset(&set, number);
    UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd || ::sigprocmask(SIG_BLOCK, &set, nullptr) != 0)
        return errno_error(errno, "signals cannot be waited for");
    return StopSignals(std::move(fd));
}

bool StopSignals::came() const {
    pollfd watched{fd_.get(), POLLIN, 0};
    return ::poll(&watched, 1, 0) == 1;
}

}  // namespace fmvm::node
