// SPDX-License-Identifier: Apache-2.0
#include "devices/console/console_input.h"

#include <poll.h>

#include <algorithm>
#include <vector>

#include "base/thread_name.h"

namespace fmvm {

namespace {

constexpr std::size_t bytes_max = 1024;  // handed over at a time

}  // namespace

Result<std::unique_ptr<ConsoleInput>> ConsoleInput::create(EventLoop& loop, int fd,
                                                           Receiver receiver) {
    UniqueFd stop_event = FMVM_TRY(create_eventfd());
    return std::unique_ptr<ConsoleInput>(
        new ConsoleInput(loop, fd, std::move(stop_event), std::move(receiver)));
}

ConsoleInput::ConsoleInput(EventLoop& loop, int fd, UniqueFd stop_event, Receiver receiver)
    : loop_(loop),
      fd_(fd),
      stop_event_(std::move(stop_event)),
      receiver_(std::move(receiver)),
      thread_([this] { thread_main(); }) {}

ConsoleInput::~ConsoleInput() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    signal_eventfd(stop_event_.get());
    changed_.notify_all();
    thread_.join();
}

void ConsoleInput::room_changed() {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

void ConsoleInput::thread_main() {
    name_thread("console-input");
    while (true) {
        const std::size_t room = wait_for_room();
        if (room == 0 || !wait_for_input() || !hand_over(room)) return;
    }
}

// How much may be read now; 0 when it is time to end.
std::size_t ConsoleInput::wait_for_room() {
    std::unique_lock lock(mutex_);
    std::size_t room = 0;
    changed_.wait(lock, [&] { return stopping_ || !handing_over_; });
    const auto has_room = [&] {
        room = stopping_ ? 0 : receiver_.room();
        return stopping_ || room != 0;
    };
    if (!receiver_.patience) {
        changed_.wait(lock, has_room);
    } else if (!changed_.wait_for(lock, *receiver_.patience, has_room)) {
        room = bytes_max;
    }
    return room;
}

bool ConsoleInput::wait_for_input() const {
    pollfd queries[2] = {{fd_, POLLIN, 0}, {stop_event_.get(), POLLIN, 0}};
    while (::poll(queries, 2, -1) < 0) {
        if (errno != EINTR) return false;
    }
    return queries[1].revents == 0;
}

// False at the end of the input.
bool ConsoleInput::hand_over(std::size_t size_max) {
    std::vector<std::uint8_t> bytes(std::min(size_max, bytes_max));
    const ssize_t size = ::read(fd_, bytes.data(), bytes.size());
    if (size < 0) return errno == EINTR || errno == EAGAIN;
    if (size == 0) return false;
    bytes.resize(static_cast<std::size_t>(size));
    {
        const std::lock_guard lock(mutex_);
        handing_over_ = true;
    }
    loop_.post([this, bytes = std::move(bytes)] {
        receiver_.take(bytes);
        {
            const std::lock_guard lock(mutex_);
            handing_over_ = false;
        }
        changed_.notify_all();
    });
    return true;
}

}  // namespace fmvm
