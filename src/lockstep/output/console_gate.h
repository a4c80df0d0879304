// SPDX-License-Identifier: Apache-2.0
// Holds guest output until the backup has committed the epoch that emitted it (the output rule).
//
// Output is a stream: each byte has a position, counted from the guest's first start. While the
// gate is open, bytes pass. While it holds, they wait; at a cut the epoch's bytes are taken for the
// checkpoint, and when the backup acknowledges it, release() lets them go. What waits is bounded:
// without room the device makes the guest wait. Bytes that are lost have no position.
//
// Threads: write() and has_room() from any (the device calls them under its lock), the rest from
// the replication thread. The handler of on_room() is called on the thread that
// made the room: the loop's, or the caller's of release() or open().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/units.h"
#include "vmm/board/device.h"

namespace fmvm::lockstep {

class ConsoleGate : public OutputSink {
  public:
    using Clock = std::chrono::steady_clock;
    using Now = std::function<Clock::time_point()>;  // the simulation has its own time

    // The sink must outlive the gate. `position`: of the next byte; not 0 for a restored guest.
    explicit ConsoleGate(OutputSink& downstream, std::uint64_t position = 0, Now now = Clock::now);

    void write(std::span<const std::uint8_t> bytes) override;
    bool has_room() const override;
    void on_room(std::function<void()> handler) override;
    std::uint64_t unwritten() const override;
    std::vector<std::uint8_t> unwritten_bytes() const override;

    // The next byte has this position: of a guest that came here by a takeover. While open, before
    // anything was written.
    void begin_at(std::uint64_t position);
    // Holds what comes from now on. While the machine stands, or before it has started.
    void hold();
    // Lets everything go, now and from now on: nobody else can contradict this side any more.
    void open();

    // Called (any thread, under the device's lock) when output begins to wait after a cut.
    // Only notifies. Set before the machine starts.
    void on_waiting(std::function<void()> handler) { waiting_handler_ = std::move(handler); }
    // Since when output has been waiting that no cut has taken; nothing when there is none.
    std::optional<Clock::time_point> waiting_since() const;

    struct EpochOutput {
        std::uint64_t position = 0;  // of the first byte
        std::vector<std::uint8_t> bytes;
    };
    // At a cut: what was emitted since the last one. It stays held.
    EpochOutput close_epoch();
    // At the first cut for a backup, which knows no output yet: what was emitted until then, and
    // has not left this process, belongs to that epoch as well. Only while the loop stands.
    EpochOutput close_first_epoch();
    // Every byte before `position` may go.
    void release(std::uint64_t position);

    // Position of the next byte that the guest emits.
    std::uint64_t position() const;
    // Every byte before this has left this process.
    std::uint64_t shown() const;

    // From room_limit on the guest is told to wait. One that does not wait loses what would exceed
    // held_bytes_max, and that is reported once.
    static constexpr std::size_t room_limit = 128 * kib;
    static constexpr std::size_t held_bytes_max = 256 * kib;

  private:
    void release_locked(std::uint64_t position) FMVM_REQUIRES(mutex_);

    OutputSink& downstream_;
    Now now_;
    std::function<void()> waiting_handler_;
    std::function<void()> room_handler_;

    mutable Mutex mutex_;
    bool holding_ FMVM_GUARDED_BY(mutex_) = false;
    bool dropping_ FMVM_GUARDED_BY(mutex_) = false;         // a loss was reported
    mutable bool starved_ FMVM_GUARDED_BY(mutex_) = false;  // a device was told there is no room
    std::vector<std::uint8_t> held_ FMVM_GUARDED_BY(mutex_);
    std::uint64_t held_position_ FMVM_GUARDED_BY(mutex_);    // of held_.front()
    std::uint64_t closed_position_ FMVM_GUARDED_BY(mutex_);  // behind the last epoch's last byte
    std::optional<Clock::time_point> waiting_since_ FMVM_GUARDED_BY(mutex_);
};

}  // namespace fmvm::lockstep
