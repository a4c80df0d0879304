// SPDX-License-Identifier: Apache-2.0
// What a device talks to besides guest memory: an interrupt line, an output sink and a virtio
// transport that keep what they were told.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "devices/virtio/virtio_device.h"
#include "vmm/board/device.h"

namespace fmvm::test {

inline constexpr std::chrono::seconds wait_limit{60};

// For what raises no event: looks again and again; false when time runs out.
template <typename Condition>
[[nodiscard]] bool eventually(Condition done) {
    const auto deadline = std::chrono::steady_clock::now() + wait_limit;
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::yield();
    }
    return true;
}

// Any thread.
class FakeIrq : public IrqLine {
  public:
    void raise() override {
        const std::lock_guard lock(mutex_);
        ++count_;
        changed_.notify_all();
    }
    std::size_t count() const {
        const std::lock_guard lock(mutex_);
        return count_;
    }
    // Waits until `done` holds, looking again after each interrupt; false when time runs out.
    template <typename Condition>
    [[nodiscard]] bool wait_until(Condition done) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, wait_limit, done);
    }
    // Waits for an edge after the first `seen` and counts it as seen.
    [[nodiscard]] bool wait_for_edge(std::size_t& seen) {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, wait_limit, [&] { return count_ > seen; })) return false;
        seen = count_;
        return true;
    }

  private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t count_ = 0;
};

// A console that runs out of room when told to.
class FakeSink : public OutputSink {
  public:
    void write(std::span<const std::uint8_t> bytes) override {
        text.append(bytes.begin(), bytes.end());
        if (room_bytes <= text.size()) room = false;
    }
    bool has_room() const override { return room; }
    void on_room(std::function<void()> handler) override { room_handler = std::move(handler); }
    std::uint64_t unwritten() const override { return pending; }
    std::vector<std::uint8_t> unwritten_bytes() const override {
        return std::vector<std::uint8_t>(pending);
    }

    std::function<void()> room_handler;
    std::string text;
    std::uint64_t pending = 0;  // what is said to be unwritten
    bool room = true;
    std::size_t room_bytes = SIZE_MAX;  // room ends when this much has come
};

class FakeTransport : public VirtioTransport {
  public:
    void interrupt_used() override { ++interrupts; }
    void config_changed() override { ++config_changes; }
    void notify_again(std::size_t index) override { again.push_back(index); }
    void fail_device(const char* reason) override { failures.emplace_back(reason); }

    std::size_t interrupts = 0;
    std::size_t config_changes = 0;
    std::vector<std::size_t> again;
    std::vector<std::string> failures;
};

}  // namespace fmvm::test
