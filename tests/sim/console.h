// SPDX-License-Identifier: Apache-2.0
// A console of a simulated process: bytes wait and are written a piece at a time, by a reader that
// may stall, and only by the right that its side has to speak, asked right before each piece
// (devices/console_output.h, lockstep/output/right_to_speak.h).
#pragma once

#include <optional>
#include <vector>

#include "lockstep/arbiter/generation.h"
#include "lockstep/output/pair_permit.h"
#include "sim/arbiter.h"
#include "sim/observer.h"
#include "sim/process.h"
#include "vmm/board/device.h"

namespace fmvm::sim {

class Console : public OutputSink {
  public:
    // Called before a piece leaves that ends at this position: it may break a rule.
    using Check = std::function<void(std::uint64_t end)>;

    // wanted: a promise is asked for.
    Console(Timeline& timeline, Process& process, const SimArbiter& arbiter,
            lockstep::PairPermit& pair, Observer& observer,
            std::function<lockstep::Generation()> generation, std::function<void()> wanted,
            Check check);

    // Position of the next byte that leaves.
    void begin_at(std::uint64_t position) { position_ = position; }
    // By promises, output leaves if this allows it, in place of the pair's permit.
    void speaks_if(std::function<bool(lockstep::BootTime)> allows) { allows_ = std::move(allows); }
    // Nothing leaves before.
    void speak_from(lockstep::BootTime from) { speak_from_ = from; }
    void stall(Duration length) { stalled_until_ = timeline_.now() + length; }

    void write(std::span<const std::uint8_t> bytes) override;
    bool has_room() const override { return pending_.size() < 4096; }
    std::uint64_t unwritten() const override { return pending_.size(); }
    std::vector<std::uint8_t> unwritten_bytes() const override { return pending_; }
    void on_room(std::function<void()>) override {}  // the guest asks again by itself
    // Writes what it can within a second of the process's time.
    void drain();

  private:
    enum class Written { all, some, not_yet, silent };
    // Nothing: withheld. False: never again.
    std::optional<bool> may_write();
    Written write_piece();
    void write_later(Duration delay);

    Timeline& timeline_;
    Process& process_;
    const SimArbiter& arbiter_;
    lockstep::PairPermit& pair_;
    Observer& observer_;
    std::function<lockstep::Generation()> generation_;
    std::function<void()> wanted_;
    Check check_;
    std::function<bool(lockstep::BootTime)> allows_;
    std::vector<std::uint8_t> pending_;
    std::uint64_t position_ = 0;
    TimePoint stalled_until_{};
    lockstep::BootTime speak_from_{0};
    bool waking_ = false;
};

}  // namespace fmvm::sim
