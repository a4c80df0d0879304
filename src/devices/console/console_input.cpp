// SPDX-License-Identifier: Apache-2.0
#include "devices/console/console_input.h"

#include <poll.h>

#include <algorithm>
#include <vector>

#include "base/thread.h"

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
      thread_(start_thread("console-input", [this] { thread_main(); })) {}

ConsoleInput::~ConsoleInput() {
    {
        const Lock lock(mutex_);
        stopping_ = true;
    }
    signal_eventfd(stop_event_.get());
    changed_.notify_all();
    thread_.join();
}

void ConsoleInput::room_changed() {
    const Lock lock(mutex_);
    changed_.notify_all();
}

void ConsoleInput::thread_main() {
    while (true) {
        const std::size_t room = wait_for_room();
        if (room == 0 || !wait_for_input() || !hand_over(room)) return;
    }
}

// How much may be read now; 0 when it is time to end.
std::size_t ConsoleInput::wait_for_room() {
    const Lock lock(mutex_);
    while (!stopping_ && handing_over_)
        changed_.wait(mutex_);
    std::optional<std::chrono::steady_clock::time_point> deadline;
    if (receiver_.patience) deadline = std::chrono::steady_clock::now() + *receiver_.patience;
    bool patient = true;
    while (!stopping_) {
        const std::size_t room = receiver_.room();
        if (room != 0) return room;
        if (!patient) return bytes_max;
        if (deadline) {
            patient = changed_.wait_until(mutex_, *deadline);
        } else {
            changed_.wait(mutex_);
        }
    }
    return 0;
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
        const Lock lock(mutex_);
        handing_over_ = true;
    }
    loop_.post([this, bytes = std::move(bytes)] {
        receiver_.take(bytes);
        {
            const Lock lock(mutex_);
            handing_over_ = false;
        }
        changed_.notify_all();
    });
    return true;
}

}  // namespace fmvm
