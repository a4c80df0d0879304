// SPDX-License-Identifier: Apache-2.0
// The device thread: one Boost.Asio loop on which all device work runs, so that devices need no
// locks among themselves and one parking stops them all.
//
// Before the thread sleeps it polls the devices in a short busy loop, because waking a thread costs
// more than most I/O. The time it polls adapts: it grows while work arrives soon after sleep would
// have begun, and shrinks to nothing otherwise, so that an idle machine costs nothing.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/event_fd.h"
#include "base/mutex.h"
#include "vmm/board/device.h"
#include "vmm/loop/task_scope.h"

namespace boost::asio {
class io_context;  // the full header is slow to compile; whoever uses context() includes it
}

namespace fmvm {

// Called on the loop thread only.
class Poller {
  public:
    virtual ~Poller() = default;
    // Does what can be done now. True if there was anything.
    virtual bool poll() = 0;
    // The loop is about to sleep, so the poller asks to be notified of new work. True if some has
    // come in meanwhile: the loop then polls again instead of sleeping.
    virtual bool prepare_to_sleep() = 0;
};

class EventLoop : public Quiescable {
  public:
    EventLoop();
    ~EventLoop() override;  // stops the thread

    boost::asio::io_context& context() { return *context_; }

    void start();
    // Ends the thread after the handler that is running. Idempotent. Not from the loop itself.
    void stop();

    // Runs `task` on the loop thread, after those posted before. Any thread. An object that may go
    // before its task has run binds it to a TaskScope.
    void post(std::function<void()> task);
    // Like post(), but waits until the task has run. Not from the loop itself.
    void run_sync(const std::function<void()>& task);

    // Lets every poller look once, on the loop thread, and waits for that. Not from the loop
    // itself.
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

// Calls a handler on the loop whenever an eventfd is signalled. Owns the descriptor. It is made and
// destroyed while the loop stands or on the loop thread; the handler may destroy it.
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
    struct Descriptor;  // keeps Asio's header out of this one
    void wait();

    const std::shared_ptr<const std::function<void()>> handler_;
    const std::unique_ptr<Descriptor> descriptor_;
    TaskScope tasks_;  // last: its tasks use the rest
};

}  // namespace fmvm
