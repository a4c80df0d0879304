// SPDX-License-Identifier: Apache-2.0
// The device thread: one Boost.Asio loop on which all device work runs, so that devices need no
// locks among themselves and one parking stops them all.
//
// Pollers: a device with work in flight is looked at in a short busy loop before the thread sleeps,
// because waking a thread costs more than most I/O. How long it looks adapts: it grows while
// looking pays (work arrives soon after sleeping would have begun) and shrinks to nothing while it
// does not, so an idle machine costs nothing.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/event_fd.h"
#include "base/mutex.h"
#include "vmm/board/device.h"

namespace boost::asio {
class io_context;  // the full header is slow to compile; who uses context() includes it
}

namespace fmvm {

// Called on the loop thread only.
class Poller {
  public:
    virtual ~Poller() = default;
    // Does what can be done now; true when there was anything.
    virtual bool poll() = 0;
    // The loop is about to sleep: ask to be notified of new work. True when some came in meanwhile
    // (the loop then polls again instead of sleeping).
    virtual bool prepare_to_sleep() = 0;
};

class EventLoop : public Quiescable {
  public:
    EventLoop();
    ~EventLoop() override;  // stops the thread

    boost::asio::io_context& context() { return *context_; }

    void start();
    // Ends the thread after the handler that runs; idempotent. Not from the loop itself.
    void stop();

    // Runs `task` on the loop thread, in order. Any thread.
    void post(std::function<void()> task);
    // Like post(), and waits until it ran. Not from the loop itself.
    void run_sync(const std::function<void()>& task);

    // Every poller looks once, on the loop thread; waits for that. Not from the loop itself.
    void poll_once() {
        run_sync([this] { poll_all(); });
    }

    // Before start() or on the loop thread.
    void add_poller(Poller& poller) { pollers_.push_back(&poller); }

    // Parks the thread between two handlers.
    void quiesce() override;
    void resume() override;

  private:
    void thread_main();
    bool is_park_requested();
    bool poll_all();
    bool run_handlers();
    bool spin();
    void sleep();
    void park();

    std::unique_ptr<boost::asio::io_context> context_;
    std::vector<Poller*> pollers_;
    std::thread thread_;
    std::chrono::nanoseconds spin_time_{0};
    unsigned rounds_without_handlers_ = 0;

    Mutex park_mutex_;
    Condition park_changed_;
    bool park_requested_ FMVM_GUARDED_BY(park_mutex_) = false;
    bool parked_ FMVM_GUARDED_BY(park_mutex_) = false;
};

// Calls a handler on the loop whenever an eventfd is signalled. Owns the descriptor. Construct and
// destroy while the loop stands or on the loop thread.
class EventWatch {
  public:
    EventWatch(EventLoop& loop, UniqueFd event_fd, std::function<void()> handler);
    ~EventWatch();
    EventWatch(const EventWatch&) = delete;
    EventWatch& operator=(const EventWatch&) = delete;

    int fd() const;
    // Any thread.
    void signal() const;

  private:
    struct Shared;
    static void wait(const std::shared_ptr<Shared>& shared);
    std::shared_ptr<Shared> shared_;
};

}  // namespace fmvm
