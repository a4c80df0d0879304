// SPDX-License-Identifier: Apache-2.0
// A console of a simulated process: bytes wait and are written a piece at a time, by a reader that
// may stall, and only with the arbiter's permit, asked right before each piece (devices/
// console_output.h, node/run/output_guard.cpp).
#pragma once

#include <vector>

#include "lockstep/arbiter/generation.h"
#include "sim/arbiter.h"
#include "sim/observer.h"
#include "sim/process.h"
#include "vmm/board/device.h"

namespace fmvm::sim {

class Console : public OutputSink {
  public:
    // Called before a piece leaves that ends at this position: it may break a rule.
    using Check = std::function<void(std::uint64_t end)>;

    Console(Timeline& timeline, Process& process, const SimArbiter& arbiter, Observer& observer,
            std::function<lockstep::Generation()> generation, Check check);

    // Position of the next byte that leaves.
    void begin_at(std::uint64_t position) { position_ = position; }
    void stall(Duration length) { stalled_until_ = timeline_.now() + length; }

    void write(std::span<const std::uint8_t> bytes) override;
    bool has_room() const override { return pending_.size() < 4096; }
    std::uint64_t unwritten() const override { return pending_.size(); }
    std::vector<std::uint8_t> unwritten_bytes() const override { return pending_; }
    void on_room(std::function<void()>) override {}  // the guest asks again by itself
    // Writes what it can within a second of the process's time.
    void drain();

  private:
    enum class Written { all, some, not_yet };
    Written write_piece();
    void write_later(Duration delay);

    Timeline& timeline_;
    Process& process_;
    const SimArbiter& arbiter_;
    Observer& observer_;
    std::function<lockstep::Generation()> generation_;
    Check check_;
    std::vector<std::uint8_t> pending_;
    std::uint64_t position_ = 0;
    TimePoint stalled_until_{};
    bool waking_ = false;
};

}  // namespace fmvm::sim
