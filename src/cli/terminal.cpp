// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "base/check.h"

namespace fmvm::cli {

namespace {

constexpr std::array fatal_signals = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSYS};

// Global, because a signal handler and atexit have nothing else to find them by. Written before
// raw_fd is set; read only by whoever takes raw_fd.
struct termios saved_mode;
std::array<struct sigaction, fatal_signals.size()> saved_actions;
std::atomic<int> raw_fd{-1};
static_assert(std::atomic<int>::is_always_lock_free, "used in a signal handler");

// Async-signal-safe; only the first of several callers restores.
void restore_mode() {
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

// Restores the terminal and the earlier action, which the signal then meets: the default, or a
// sanitizer's report. The signal is blocked until this returns.
void on_fatal_signal(int signal) {
    restore_mode();
    for (std::size_t i = 0; i < fatal_signals.size(); ++i) {
        if (fatal_signals[i] == signal) ::sigaction(signal, &saved_actions[i], nullptr);
    }
    ::raise(signal);
}

void catch_fatal_signals() {
    struct sigaction action {};
    action.sa_handler = on_fatal_signal;
    sigemptyset(&action.sa_mask);
    for (std::size_t i = 0; i < fatal_signals.size(); ++i) {
        ::sigaction(fatal_signals[i], &action, &saved_actions[i]);
    }
}

void release_fatal_signals() {
    for (std::size_t i = 0; i < fatal_signals.size(); ++i) {
        ::sigaction(fatal_signals[i], &saved_actions[i], nullptr);
    }
}

struct termios raw_mode(struct termios mode) {
    ::cfmakeraw(&mode);
    mode.c_oflag |= OPOST;
    return mode;
}

}  // namespace

RawTerminal::RawTerminal(int fd) {
    FMVM_CHECK(raw_fd.load() < 0);
    if (::tcgetattr(fd, &saved_mode) != 0) return;  // not a terminal
    static const int registered = std::atexit(restore_mode);
    static_cast<void>(registered);
    catch_fatal_signals();
    raw_fd.store(fd);
    const struct termios raw = raw_mode(saved_mode);
    while (::tcsetattr(fd, TCSANOW, &raw) != 0 && errno == EINTR) {
    }
}

RawTerminal::~RawTerminal() {
    if (raw_fd.load() < 0) return;
    restore_mode();
    release_fatal_signals();
}

}  // namespace fmvm::cli
