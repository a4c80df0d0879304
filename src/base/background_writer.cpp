// SPDX-License-Identifier: Apache-2.0
#include "base/background_writer.h"

#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/thread.h"

namespace fmvm {

namespace {

// How long the thread waits for a reader before it looks whether to go on waiting.
constexpr int patience_ms = 50;

std::uint64_t lines_in(std::string_view text) {
    return static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
}

std::string tell_lost(std::uint64_t lines) {
    return fmt::format(
        "fmvm: {} lines are missing here: nobody took them, or they could not be written\n", lines);
}

// How much of it to write at once: whole lines if possible, and no more than a pipe takes in one
// piece, so that lines of several processes do not mix.
std::size_t next_piece(std::string_view text) {
    if (text.size() <= PIPE_BUF) return text.size();
    const std::size_t end = text.rfind('\n', PIPE_BUF - 1);
    return end == std::string_view::npos ? PIPE_BUF : end + 1;
}

// Signals are for the threads that expect them. Above all SIGPIPE must not end the process.
void block_signals() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

BackgroundWriter::BackgroundWriter(int fd, std::size_t waiting_max)
    : fd_(fd), waiting_max_(waiting_max) {}

BackgroundWriter::~BackgroundWriter() {
    {
        const Lock lock(mutex_);
        stopping_ = true;
        changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
}

void BackgroundWriter::write(std::string_view text) {
    const Lock lock(mutex_);
    if (text.size() <= waiting_max_ - std::min(waiting_max_, waiting_.size())) {
        add(text);
    } else {
        lost_lines_ += lines_in(text);
    }
}

void BackgroundWriter::write_above_limit(std::string_view text) {
    const Lock lock(mutex_);
    add(text);
}

void BackgroundWriter::offer(std::string_view text) {
    const Lock lock(mutex_);
    if (!writing_ && waiting_.empty()) add(text);
}

bool BackgroundWriter::is_terminal() const {
    return ::isatty(fd_) == 1;
}

void BackgroundWriter::add(std::string_view text) {
    waiting_ += text;
    if (thread_.joinable()) return changed_.notify_all();
    try {
        thread_ = start_thread("log", [this] { run(); });
    } catch (const std::system_error&) {
        // No more threads are to be had. flush() writes then.
    }
}

bool BackgroundWriter::flush(std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    Lock lock(mutex_);
    if (!thread_.joinable() && !waiting_.empty()) {
        const Batch batch = take_waiting();
        lock.unlock();
        const std::size_t written = write_out(batch.text, deadline);
        lock.lock();
        finish(batch, written);
    }
    while (writing_ || !waiting_.empty()) {
        if (!changed_.wait_until(mutex_, deadline)) return !writing_ && waiting_.empty();
    }
    return true;
}

void BackgroundWriter::run() {
    block_signals();
    Lock lock(mutex_);
    while (!stopping_) {
        if (waiting_.empty()) {
            changed_.wait(mutex_);
            continue;
        }
        const Batch batch = take_waiting();
        lock.unlock();
        const std::size_t written = write_out(batch.text, std::nullopt);
        lock.lock();
        finish(batch, written);
    }
}

// What was lost for want of room came after all that waits: there it is told.
BackgroundWriter::Batch BackgroundWriter::take_waiting() {
    Batch batch{std::exchange(waiting_, {})};
    batch.lines = lines_in(batch.text) + lost_lines_;
    if (lost_lines_ != 0) batch.text += tell_lost(std::exchange(lost_lines_, 0));
    writing_ = true;
    return batch;
}

void BackgroundWriter::finish(const Batch& batch, std::size_t written) {
    const std::string_view text(batch.text);
    if (written < text.size()) lost_lines_ += batch.lines - lines_in(text.substr(0, written));
    writing_ = false;
    changed_.notify_all();
}

// How many bytes were written before it failed, or had to end.
std::size_t BackgroundWriter::write_out(std::string_view text, Deadline deadline) const {
    std::size_t done = 0;
    while (done < text.size() && may_go_on(deadline)) {
        pollfd reader{fd_, POLLOUT, 0};
        if (::poll(&reader, 1, patience_ms) <= 0) continue;
        const std::string_view rest = text.substr(done);
        const ssize_t count = ::write(fd_, rest.data(), next_piece(rest));
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (count <= 0) break;
        done += static_cast<std::size_t>(count);
    }
    return done;
}

bool BackgroundWriter::may_go_on(Deadline deadline) const {
    return !stopping_ && (!deadline || std::chrono::steady_clock::now() < *deadline);
}

}  // namespace fmvm
