// SPDX-License-Identifier: Apache-2.0
#include "node/console/terminal.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "base/check.h"

namespace fmvm::node {

namespace {

struct EndingSignal {
    int number;
    bool from_outside;  // somebody's wish rather than our crash: respected if handled or ignored
};
constexpr std::array ending_signals = {
    EndingSignal{SIGABRT, false},  EndingSignal{SIGSEGV, false}, EndingSignal{SIGBUS, false},
    EndingSignal{SIGFPE, false},   EndingSignal{SIGILL, false},  EndingSignal{SIGSYS, false},
    EndingSignal{SIGQUIT, true},   EndingSignal{SIGTERM, true},  EndingSignal{SIGINT, true},
    EndingSignal{SIGHUP, true},    EndingSignal{SIGTRAP, true},  EndingSignal{SIGUSR2, true},
    EndingSignal{SIGALRM, true},   EndingSignal{SIGXCPU, true},  EndingSignal{SIGVTALRM, true},
    EndingSignal{SIGPROF, true},   EndingSignal{SIGIO, true},    EndingSignal{SIGPWR, true},
    EndingSignal{SIGSTKFLT, true},
};

// Global, because a signal handler and atexit have nothing else to find them by. Written before
// raw_fd is set; read only by whoever takes raw_fd.
struct termios saved_mode;
std::array<struct sigaction, ending_signals.size()> saved_actions;
std::array<bool, ending_signals.size()> caught;
std::atomic<int> raw_fd{-1};
static_assert(std::atomic<int>::is_always_lock_free, "used in a signal handler");

}  // namespace

// Only the first of several callers restores.
void restore_terminal() {
    const int fd = raw_fd.exchange(-1);
    if (fd < 0) return;
    // From the background tcsetattr would stop the process with SIGTTOU, unless that is blocked.
    sigset_t ttou;
    sigset_t old_mask;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &old_mask);
    while (::tcsetattr(fd, TCSANOW, &saved_mode) != 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &old_mask, nullptr);
}

namespace {

// Restores the terminal and the earlier action, which the signal then meets: the default, or a
// sanitizer's report. The signal is blocked until this returns.
void on_ending_signal(int number) {
    restore_terminal();
    for (std::size_t i = 0; i < ending_signals.size(); ++i) {
        if (ending_signals[i].number == number) ::sigaction(number, &saved_actions[i], nullptr);
    }
    ::raise(number);
}

void catch_ending_signals() {
    struct sigaction action {};
    action.sa_handler = on_ending_signal;
    sigemptyset(&action.sa_mask);
    for (std::size_t i = 0; i < ending_signals.size(); ++i) {
        const EndingSignal& signal = ending_signals[i];
        ::sigaction(signal.number, nullptr, &saved_actions[i]);
        caught[i] = !signal.from_outside || saved_actions[i].sa_handler == SIG_DFL;
        if (caught[i]) ::sigaction(signal.number, &action, nullptr);
    }
}

void release_ending_signals() {
    for (std::size_t i = 0; i < ending_signals.size(); ++i) {
        if (caught[i]) ::sigaction(ending_signals[i].number, &saved_actions[i], nullptr);
    }
}

struct termios raw_mode(struct termios mode) {
    ::cfmakeraw(&mode);
    mode.c_oflag |= OPOST;
    return mode;
}

}  // namespace

// A terminal that does not control us (tcgetpgrp fails) stops nobody.
bool in_background_of(int fd) {
    const pid_t foreground = ::tcgetpgrp(fd);
    return foreground >= 0 && foreground != ::getpgrp();
}

RawTerminal::RawTerminal(int fd) {
    FMVM_CHECK(raw_fd.load() < 0);
    if (in_background_of(fd)) return;
    if (::tcgetattr(fd, &saved_mode) != 0) return;  // not a terminal
    static const bool registered =
        std::atexit(restore_terminal) == 0 && std::at_quick_exit(restore_terminal) == 0;
    static_cast<void>(registered);
    catch_ending_signals();
    raw_fd.store(fd);
    const struct termios raw = raw_mode(saved_mode);
    while (::tcsetattr(fd, TCSANOW, &raw) != 0 && errno == EINTR) {
    }
}

RawTerminal::~RawTerminal() {
    if (raw_fd.load() < 0) return;
    restore_terminal();
    release_ending_signals();
}

}  // namespace fmvm::node
