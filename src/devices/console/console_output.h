// SPDX-License-Identifier: Apache-2.0
// Writes console bytes to a file descriptor without ever blocking the guest: bytes are collected
// under a lock and written on the loop thread. When the reader is slow, has_room() turns false
// (the serial port then makes the guest wait); what comes all the same is kept up to a hard limit,
// beyond which bytes are dropped, which a warning tells.
//
// The descriptor's flags are not touched, because a terminal shares them with other programs: the
// loop looks whether it is writable, then writes no more than a pipe is guaranteed to take, and
// looks again a little later when it is not.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "base/units.h"
#include "vmm/board/device.h"
#include "vmm/loop/event_loop.h"

namespace fmvm {

class ConsoleOutput : public OutputSink {
  public:
    ConsoleOutput(EventLoop& loop, UniqueFd fd);
    // After the loop has stopped: writes what is left, waiting for a slow reader for a second, or
    // as wait_at_end() says; a warning tells what is lost.
    ~ConsoleOutput() override;
    // give_up: asked again and again; true ends the wait.
    void wait_at_end(std::chrono::milliseconds limit, std::function<bool()> give_up);

    void write(std::span<const std::uint8_t> bytes) override;
    bool has_room() const override { return pending_bytes_ < room_limit; }
    std::uint64_t unwritten() const override { return pending_bytes_; }
    std::vector<std::uint8_t> unwritten_bytes() const override;
    void on_room(std::function<void()> handler) override;

    // Empties the file that it writes to, before anything is written; other things stay as they
    // are.
    void empty_file();

    // Writes out what waits, for `limit` at most; false when something is left. Only while the loop
    // stands.
    bool drain(std::chrono::milliseconds limit);

    // Asked right before each piece is written, on the loop thread with no patience: it must not
    // wait there. Withheld: whoever says so calls ask_again() later. Revoked: this and all later
    // output is dropped. Set before use; what it owns goes when the console goes.
    enum class Permit { granted, withheld, revoked };
    void require_permit(std::function<Permit(std::chrono::milliseconds patience)> permit);
    // Loop thread.
    void ask_again();
    // Called once when a permit is revoked, by whoever asked for it. Set, or taken away, while the
    // loop stands.
    void on_revoked(std::function<void()> handler);

    static constexpr std::size_t room_limit = 64 * kib;
    static constexpr std::size_t hard_limit = 4 * mib;

  private:
    struct Shared;
    const std::unique_ptr<Shared> shared_;
    std::atomic<std::size_t>& pending_bytes_;
    std::chrono::milliseconds last_wait_{1000};
    std::function<bool()> give_up_ = [] { return false; };
};

}  // namespace fmvm
