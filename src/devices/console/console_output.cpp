// SPDX-License-Identifier: Apache-2.0
#include "devices/console/console_output.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "base/log.h"
#include "base/mutex.h"

namespace fmvm {

namespace {

constexpr std::chrono::milliseconds retry_interval{5};
// How long a piece of a line waits for the rest of it: a guest sends byte by byte, and waking the
// loop for each would cost more than the byte.
constexpr std::chrono::milliseconds line_wait_max{1};

enum class Readiness { ready, not_yet, withheld, broken };

// Regular files are always ready.
Readiness writable(int fd, std::chrono::milliseconds timeout) {
    pollfd query{fd, POLLOUT, 0};
    const int result = ::poll(&query, 1, static_cast<int>(timeout.count()));
    if (result <= 0) return Readiness::not_yet;
    return (query.revents & POLLOUT) != 0 ? Readiness::ready : Readiness::broken;
}

}  // namespace

// What writers and the loop share.
struct ConsoleOutput::Shared {
    Shared(EventLoop& event_loop, UniqueFd descriptor)
        : fd(std::move(descriptor)),
          // What a writable pipe takes without blocking; a terminal promises less.
          chunk_max(::isatty(fd.get()) == 1 ? 256 : PIPE_BUF),
          loop(event_loop),
          timer(event_loop.context()) {}

    void append(std::span<const std::uint8_t> bytes);
    void write_pending();
    bool collect();
    Readiness write_collected(std::chrono::milliseconds timeout);
    Readiness permitted(Readiness readiness, std::chrono::milliseconds patience);
    void write_after(std::chrono::milliseconds delay);

    const UniqueFd fd;
    const std::size_t chunk_max;
    EventLoop& loop;
    std::function<void()> room_handler;
    std::function<Permit(std::chrono::milliseconds)> permit;
    std::function<void()> revoked_handler;
    std::atomic<std::size_t> pending_bytes{0};

    enum class Schedule { none, delayed, at_once };

    Mutex mutex;
    std::vector<std::uint8_t> incoming FMVM_GUARDED_BY(mutex);  // appended by writers
    Schedule schedule FMVM_GUARDED_BY(mutex) = Schedule::none;
    bool dropping FMVM_GUARDED_BY(mutex) = false;
    // There was no room since the handler was last called.
    bool starved FMVM_GUARDED_BY(mutex) = false;

    // Loop thread only.
    boost::asio::steady_timer timer;
    std::vector<std::uint8_t> outgoing;
    std::size_t outgoing_done = 0;
    bool reported = false;
    bool broken = false;    // the reader has gone away, at least once
    bool withheld = false;  // the last piece had no permit

    TaskScope tasks;  // last: its tasks use the rest
};

ConsoleOutput::ConsoleOutput(EventLoop& loop, UniqueFd fd)
    : shared_(std::make_unique<Shared>(loop, std::move(fd))),
      pending_bytes_(shared_->pending_bytes) {}

ConsoleOutput::~ConsoleOutput() {
    const bool all = drain(last_wait_);
    if (all || shared_->broken) return;
    if (shared_->withheld) {
        log::warning("console",
                     "the last {} bytes of output were withheld to the end, as nobody could say "
                     "that no other side shows them; they are lost",
                     pending_bytes_.load());
        return;
    }
    log::warning("console",
                 "the reader of the console did not take the last {} bytes; they are lost",
                 pending_bytes_.load());
}

void ConsoleOutput::wait_at_end(std::chrono::milliseconds limit, std::function<bool()> give_up) {
    last_wait_ = limit;
    give_up_ = std::move(give_up);
}

void ConsoleOutput::empty_file() {
    // This fails if it is no regular file; then there is nothing to empty.
    [[maybe_unused]] const int emptied = ::ftruncate(shared_->fd.get(), 0);
}

bool ConsoleOutput::drain(std::chrono::milliseconds limit) {
    const auto began = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - began < limit && !give_up_() && shared_->collect()) {
        if (shared_->write_collected(retry_interval) == Readiness::broken) break;
    }
    return pending_bytes_ == 0;
}

std::vector<std::uint8_t> ConsoleOutput::unwritten_bytes() const {
    const auto done = static_cast<std::ptrdiff_t>(shared_->outgoing_done);
    std::vector<std::uint8_t> bytes(shared_->outgoing.begin() + done, shared_->outgoing.end());
    const Lock lock(shared_->mutex);
    bytes.insert(bytes.end(), shared_->incoming.begin(), shared_->incoming.end());
    return bytes;
}

void ConsoleOutput::on_room(std::function<void()> handler) {
    shared_->room_handler = std::move(handler);
}

void ConsoleOutput::require_permit(std::function<Permit(std::chrono::milliseconds)> permit) {
    shared_->permit = std::move(permit);
}

void ConsoleOutput::on_revoked(std::function<void()> handler) {
    shared_->revoked_handler = std::move(handler);
}

void ConsoleOutput::ask_again() {
    shared_->write_pending();
}

void ConsoleOutput::write(std::span<const std::uint8_t> bytes) {
    shared_->append(bytes);
}

void ConsoleOutput::Shared::append(std::span<const std::uint8_t> bytes) {
    const Lock lock(mutex);
    // Read once: the loop makes room meanwhile.
    const std::size_t room = hard_limit - pending_bytes;
    if (bytes.size() > room) {
        if (!std::exchange(dropping, true)) {
            log::warning("console", "the reader of the console is too slow; output is being lost");
        }
        bytes = bytes.first(room);
    }
    incoming.insert(incoming.end(), bytes.begin(), bytes.end());
    pending_bytes += bytes.size();
    if (pending_bytes >= room_limit) starved = true;
    const bool whole_line = std::find(bytes.begin(), bytes.end(), '\n') != bytes.end();
    if (whole_line && schedule != Schedule::at_once) {
        schedule = Schedule::at_once;
        loop.post(tasks.bind([this] { write_pending(); }));
    } else if (schedule == Schedule::none) {
        schedule = Schedule::delayed;
        loop.post(tasks.bind([this] { write_after(line_wait_max); }));
    }
}

// Moves what has come to `outgoing` once that is written; false when there is nothing to write.
bool ConsoleOutput::Shared::collect() {
    if (outgoing_done != outgoing.size()) return true;
    outgoing.clear();
    outgoing_done = 0;
    const Lock lock(mutex);
    std::swap(outgoing, incoming);
    if (outgoing.empty()) schedule = Schedule::none;
    return !outgoing.empty();
}

Readiness ConsoleOutput::Shared::permitted(Readiness readiness,
                                           std::chrono::milliseconds patience) {
    if (readiness != Readiness::ready || !permit) return readiness;
    const Permit answer = permit(patience);
    withheld = answer == Permit::withheld;
    switch (answer) {
        case Permit::granted:
            return readiness;
        case Permit::withheld:
            return Readiness::withheld;
        case Permit::revoked:
            reported = true;  // whoever revoked it says so
            if (const auto tell = std::exchange(revoked_handler, nullptr)) tell();
            return Readiness::broken;
    }
    return readiness;
}

Readiness ConsoleOutput::Shared::write_collected(std::chrono::milliseconds timeout) {
    while (outgoing_done != outgoing.size()) {
        const Readiness readiness = permitted(writable(fd.get(), timeout), timeout);
        if (readiness == Readiness::not_yet || readiness == Readiness::withheld) return readiness;
        const std::size_t size = std::min(outgoing.size() - outgoing_done, chunk_max);
        errno = EPIPE;
        const ssize_t written = readiness == Readiness::broken
                                    ? -1
                                    : ::write(fd.get(), outgoing.data() + outgoing_done, size);
        if (written < 0 && (errno == EAGAIN || errno == EINTR)) return Readiness::not_yet;
        // A reader that has gone away is no reason to stop a guest: its output is dropped.
        const bool failed = written <= 0;
        if (failed) broken = true;
        if (failed && written < 0 && errno != EPIPE && !std::exchange(reported, true)) {
            log::error("console", "output is being lost: {}", std::strerror(errno));
        }
        const std::size_t done =
            failed ? outgoing.size() - outgoing_done : static_cast<std::size_t>(written);
        outgoing_done += done;
        pending_bytes -= done;
        if (failed) return Readiness::broken;
    }
    return Readiness::ready;
}

void ConsoleOutput::Shared::write_pending() {
    while (collect()) {
        const Readiness readiness = write_collected(std::chrono::milliseconds(0));
        if (readiness == Readiness::withheld) return;  // ask_again() goes on
        if (readiness == Readiness::not_yet) {
            write_after(retry_interval);
            return;
        }
    }
    {
        const Lock lock(mutex);
        if (!starved || pending_bytes >= room_limit / 2) return;
        starved = false;
        dropping = false;
    }
    if (room_handler) room_handler();
}

void ConsoleOutput::Shared::write_after(std::chrono::milliseconds delay) {
    timer.expires_after(delay);
    timer.async_wait(tasks.bind([this](const boost::system::error_code& error) {
        if (!error) write_pending();
    }));
}

}  // namespace fmvm
