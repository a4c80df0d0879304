// SPDX-License-Identifier: Apache-2.0
// Reads console bytes from a file descriptor and hands them over on the loop thread, not more than
// the receiver has room for.
//
// A thread of its own waits for input, because the descriptor may be a terminal, a pipe or a file
// and its flags, which other programs may share, are not to be touched.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <thread>

#include "base/event_fd.h"
#include "base/mutex.h"
#include "vmm/loop/event_loop.h"

namespace fmvm {

class ConsoleInput {
  public:
    struct Receiver {
        std::function<std::size_t()> room;                        // any thread
        std::function<void(std::span<const std::uint8_t>)> take;  // loop thread
        // When there has been no room for so long, bytes come all the same: for a receiver to whom
        // some of them say what to do. None: never.
        std::optional<std::chrono::milliseconds> patience{};
    };
    // The descriptor is not owned and must stay open.
    static Result<std::unique_ptr<ConsoleInput>> create(EventLoop& loop, int fd, Receiver receiver);
    ~ConsoleInput();

    // The receiver has room again. Any thread.
    void room_changed();

  private:
    ConsoleInput(EventLoop& loop, int fd, UniqueFd stop_event, Receiver receiver);
    void thread_main();
    std::size_t wait_for_room();
    bool wait_for_input() const;
    bool hand_over(std::size_t size_max);

    EventLoop& loop_;
    const int fd_;
    const UniqueFd stop_event_;
    const Receiver receiver_;
    Mutex mutex_;
    Condition changed_;
    bool stopping_ FMVM_GUARDED_BY(mutex_) = false;
    // Bytes are on their way through the loop.
    bool handing_over_ FMVM_GUARDED_BY(mutex_) = false;
    std::thread thread_;
};

}  // namespace fmvm
