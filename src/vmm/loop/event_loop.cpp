// SPDX-License-Identifier: Apache-2.0
#include "vmm/loop/event_loop.h"

#include <sched.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include "base/thread.h"

namespace fmvm {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::nanoseconds spin_time_max = std::chrono::microseconds(50);
constexpr std::chrono::nanoseconds spin_time_first = std::chrono::microseconds(8);
constexpr unsigned rounds_without_handlers_max = 8;
constexpr unsigned handlers_per_round_max = 64;

// Between two looks of the pollers, which look at memory, most often only a moment passes. Every so
// often the CPU is given up: the kernel's own threads (io_uring's workers carry out buffered writes
// and flushes) may be waiting for it with the very thing that is looked for. That, and looking for
// handlers, are system calls of 0.5 to 1 us each.
constexpr unsigned looks_per_yield = 4;

}  // namespace

EventLoop::EventLoop() : context_(std::make_unique<boost::asio::io_context>(1)) {}

EventLoop::~EventLoop() {
    stop();
}

void EventLoop::start() {
    FMVM_CHECK(!thread_.joinable() && !is_park_requested());
    thread_ = start_thread("devices", [this] { thread_main(); });
}

void EventLoop::stop() {
    FMVM_CHECK(!is_park_requested());
    context_->stop();
    if (thread_.joinable()) thread_.join();
}

void EventLoop::post(std::function<void()> task) {
    boost::asio::post(*context_, std::move(task));
}

void EventLoop::run_sync(const std::function<void()>& task) {
    Mutex mutex;
    Condition changed;
    bool done = false;
    post([&] {
        task();
        const Lock lock(mutex);
        done = true;
        changed.notify_one();
    });
    const Lock lock(mutex);
    while (!done)
        changed.wait(mutex);
}

bool EventLoop::is_park_requested() {
    const Lock lock(park_mutex_);
    return park_requested_;
}

void EventLoop::quiesce() {
    const Lock lock(park_mutex_);
    FMVM_CHECK(!park_requested_);
    park_requested_ = true;
    if (!thread_.joinable()) return;  // it stands anyway
    post([this] { park(); });
    while (!parked_)
        park_changed_.wait(park_mutex_);
}

void EventLoop::resume() {
    const Lock lock(park_mutex_);
    FMVM_CHECK(park_requested_);
    park_requested_ = false;
    park_changed_.notify_all();
}

void EventLoop::park() {
    const Lock lock(park_mutex_);
    parked_ = true;
    park_changed_.notify_all();
    while (park_requested_)
        park_changed_.wait(park_mutex_);
    parked_ = false;
}

void EventLoop::thread_main() {
    const auto work = boost::asio::make_work_guard(*context_);
    while (!context_->stopped()) {
        if (!spin()) sleep();
    }
}

bool EventLoop::poll_all() {
    bool worked = false;
    for (Poller* poller : pollers_)
        worked |= poller->poll();
    return worked;
}

// Not poll(): that goes on as long as handlers post others, and pollers would never have a turn.
bool EventLoop::run_handlers() {
    rounds_without_handlers_ = 0;
    unsigned ran = 0;
    while (ran < handlers_per_round_max && context_->poll_one() != 0)
        ++ran;
    return ran != 0;
}

// Polls until nothing has come for spin_time_; false when it is time to sleep.
bool EventLoop::spin() {
    const Clock::time_point start = Clock::now();
    for (unsigned look = 1;; ++look) {
        if (poll_all()) {
            // A busy disk would starve all others.
            if (++rounds_without_handlers_ == rounds_without_handlers_max) run_handlers();
            return true;
        }
        if (Clock::now() - start >= spin_time_) return run_handlers();
        if (look % looks_per_yield != 0) {
            __builtin_ia32_pause();
            continue;
        }
        ::sched_yield();
        if (run_handlers()) return true;  // that may have taken long, and vCPUs stand for some
    }
}

void EventLoop::sleep() {
    bool more = false;
    for (Poller* poller : pollers_)
        more |= poller->prepare_to_sleep();
    const Clock::time_point start = Clock::now();
    if (!more) context_->run_one();
    const std::chrono::nanoseconds slept = Clock::now() - start;
    if (slept < spin_time_max) {
        spin_time_ =
            spin_time_.count() == 0 ? spin_time_first : std::min(spin_time_ * 2, spin_time_max);
    } else {
        spin_time_ /= 2;
        if (spin_time_ < spin_time_first) spin_time_ = std::chrono::nanoseconds(0);
    }
}

struct EventWatch::Descriptor {
    Descriptor(EventLoop& loop, int fd) : stream(loop.context(), fd) {}
    boost::asio::posix::stream_descriptor stream;
    std::uint64_t count = 0;
};

EventWatch::EventWatch(EventLoop& loop, UniqueFd event_fd, std::function<void()> handler)
    : handler_(std::make_shared<const std::function<void()>>(std::move(handler))),
      descriptor_(std::make_unique<Descriptor>(loop, event_fd.release())) {
    wait();
}

EventWatch::~EventWatch() = default;

int EventWatch::fd() const {
    return descriptor_->stream.native_handle();
}

void EventWatch::signal() const {
    signal_eventfd(fd());
}

void EventWatch::wait() {
    descriptor_->stream.async_read_some(
        boost::asio::buffer(&descriptor_->count, sizeof descriptor_->count),
        tasks_.bind([this](const boost::system::error_code& error, std::size_t) {
            if (error) return;
            wait();
            // The handler may destroy the watch, but must not go itself while it runs.
            const std::shared_ptr<const std::function<void()>> handler = handler_;
            (*handler)();
        }));
}

}  // namespace fmvm
