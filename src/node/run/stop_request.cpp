// SPDX-License-Identifier: Apache-2.0
#include "node/run/stop_request.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/buffer.hpp>

#include "base/event_fd.h"
#include "node/console/terminal.h"
#include "node/run/stop_signals.h"

namespace fmvm::node {

namespace {

// Global, because a signal handler has nothing else to find them by.
std::atomic<int> first_number{0};         // 0: none has come
std::atomic<std::int64_t> end_is_due{0};  // on the steady clock, ns; 0: none has come
std::atomic<std::int64_t> end_limit_ns{0};
std::atomic<int> wake_fd{-1};
static_assert(std::atomic<std::int64_t>::is_always_lock_free, "used in a signal handler");

std::int64_t now_ns() {
    struct timespec now {};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void on_stop_signal(int number) {
    const int saved_errno = errno;
    std::int64_t due = 0;
    if (end_is_due.compare_exchange_strong(due, now_ns() + end_limit_ns)) {
        first_number = number;
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t woken = ::write(wake_fd, &one, sizeof one);
    } else if (now_ns() >= due) {
        restore_terminal();
        ::signal(number, SIG_DFL);
        ::raise(number);  // it is blocked until this returns
    }
    errno = saved_errno;
}

void catch_stop_signals() {
    struct sigaction action {};
    action.sa_handler = on_stop_signal;
    action.sa_flags = SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    for (const int number : stop_signals())
        ::sigaction(number, &action, nullptr);
}

}  // namespace

Result<std::unique_ptr<StopRequest>> StopRequest::take(boost::asio::io_context& control,
                                                       std::chrono::nanoseconds limit) {
    UniqueFd woken = FMVM_TRY(create_eventfd());
    // The handler's own, which is never closed: it may be at it on another thread at any time.
    const int ours = ::fcntl(woken.get(), F_DUPFD_CLOEXEC, 0);
    if (ours < 0) return errno_error(errno, "signals cannot be waited for");
    first_number = 0;
    end_is_due = 0;
    end_limit_ns = limit.count();
    wake_fd = ours;
    std::unique_ptr<StopRequest> request(new StopRequest(control, std::move(woken)));
    catch_stop_signals();
    return request;
}

StopRequest::StopRequest(boost::asio::io_context& control, UniqueFd woken)
    : woken_(control, woken.release()) {
    woken_.async_read_some(boost::asio::buffer(&count_, sizeof count_),
                           [number = number_](const boost::system::error_code& error, std::size_t) {
                               if (!error) number->happen(first_number);
                           });
}

StopRequest::~StopRequest() {
    stop_listening();
}

bool StopRequest::came() const {
    return first_number != 0;
}

}  // namespace fmvm::node
