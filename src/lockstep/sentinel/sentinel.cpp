// SPDX-License-Identifier: Apache-2.0
#include "lockstep/sentinel/sentinel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/event_fd.h"
#include "base/process_title.h"
#include "base/thread.h"
#include "base/thread_priority.h"
#include "lockstep/sentinel/sentinel_loop.h"

namespace fmvm::lockstep {

namespace {

void close_all_but(UniqueFd& kept) {
    constexpr int place = STDERR_FILENO + 1;
    const int nothing = ::open("/dev/null", O_RDWR);
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        ::dup2(nothing, standard);
    if (kept.get() != place) kept = UniqueFd(::dup2(kept.get(), place));
    ::close_range(place + 1, ~0U, 0);
}

void take_no_signals() {
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1, SIGUSR2, SIGPIPE})
        ::signal(number, SIG_IGN);
}

// The process that was forked. Nothing of its parent's is destroyed here.
[[noreturn]] void be_sentinel(EmitterLocks& emitters, UniqueFd orders, pid_t parent) {
    ::setsid();
    take_no_signals();
    close_all_but(orders);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    FMVM_CHECK(::chdir("/") == 0);  // no mount is busy with it
    set_process_title(fmt::format("fmvm-sentinel of {}", parent));
    if (!set_real_time(0)) {  // then it waits for its turn, as all do
        const SentinelReport report{SentinelReport::State::not_first, errno};
        ::send(orders.get(), &report, sizeof report, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    Result<UniqueFd> died = create_eventfd();
    if (!died.ok()) ::_exit(1);
    start_thread("fmvm-sentinel", [&emitters, fd = died->get()] {
        if (emitters.wait_for_end() == EmitterLocks::End::orderly) ::_exit(0);
        signal_eventfd(fd);
    }).detach();
    SentinelLoop(std::move(orders), std::move(*died), {}).run();
    ::_exit(0);
}

}  // namespace

Result<std::unique_ptr<Sentinel>> Sentinel::start() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
        return errno_error(errno, "no socket pair can be made");
    UniqueFd ours(ends[0]);
    UniqueFd its(ends[1]);
    std::shared_ptr<EmitterLocks> emitters = FMVM_TRY(EmitterLocks::create());
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) return errno_error(errno, "no process can be made");
    if (pid == 0) {
        ours.reset();
        be_sentinel(*emitters, std::move(its), parent);
    }
    return std::unique_ptr<Sentinel>(new Sentinel(std::move(emitters), std::move(ours), pid));
}

// Not by asking: a sentinel that is stopped, or busy, would go on, and take this process's end for
// its death.
Sentinel::~Sentinel() {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

bool Sentinel::say_when_dead(const LastWord& word) {
    return ::send(orders_.get(), &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(sizeof word);
}

// Not whether it has ended: its end is waited for once, by who ends it.
std::optional<bool> Sentinel::stopped_anew() {
    siginfo_t now{};
    const auto child = static_cast<id_t>(pid_);
    if (::waitid(P_PID, child, &now, WSTOPPED | WCONTINUED | WNOHANG) != 0 || now.si_pid == 0)
        return std::nullopt;
    return now.si_code == CLD_STOPPED;
}

Sentinel::Reports Sentinel::next_report() {
    SentinelReport report;
    const ssize_t size = ::recv(orders_.get(), &report, sizeof report, MSG_DONTWAIT);
    if (size == sizeof report) return {.next = report};
    return {.has_ended = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)};
}

}  // namespace fmvm::lockstep
