// SPDX-License-Identifier: Apache-2.0
// What the disks of a machine were asked to do, as its RecordingBackends saw it: the source of the
// records that a backup replays. All disks share one log, because a write to one of them may take
// its bytes from a page that a read of another one filled.
//
//     off --begin()--> mirroring --start_epochs()--> recording
//      ^                   |                             |
//      +-------------------+----------- end() -----------+
//
//   - off: the log keeps nothing.
//   - mirroring: it keeps changes with their payload until take_completed(), for a backup whose
//     disks are being made equal.
//   - recording: it keeps changes, and reads that fill whole pages, until the next cut takes them.
//
// A sink, if there is one, gets every request in every phase.
//
// The order of the log is that of completion; requests that overlap complete in the order in which
// the guest made them (RecordingBackend). Memory for payloads has a budget: from half of it on the
// log asks for a cut, beyond it requests wait.
//
// Threads: captured disks call on the loop thread; begin(), start_epochs(), close_epoch() and end()
// are for the controlling thread while the loop stands; the rest is for any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "replay/capture/captured_disk.h"
#include "replay/capture/logged_request.h"
#include "replay/capture/request_sink.h"

namespace fmvm::replay {

class BlockLog {
  public:
    enum class Phase { off, mirroring, recording };
    enum class Reads { recorded, passed };  // passed: the payload of every write travels

    static constexpr std::uint64_t budget_default = 64 * mib;

    // budget_bytes: at least twice the largest request, or that one waits for a cut. sink: may be
    // null; it outlives this. What it may hold is added to the budget.
    explicit BlockLog(Reads reads, std::uint64_t budget_bytes = budget_default,
                      RequestSink* sink = nullptr);
    ~BlockLog();

    // For whoever takes checkpoints.
    void begin();
    // The disks took every request in flight after begin(), so that the log will have how it ends.
    bool all_captured() const { return uncaptured_ == 0; }
    void start_epochs();
    void end();

    // What one epoch left: requests in the order of completion, and the writes still in flight.
    struct Epoch {
        std::vector<LoggedRequest> completed;
        std::vector<std::shared_ptr<WritePayload>> in_flight;
    };
    Epoch close_epoch();
    // In phase mirroring: what has completed since the last call.
    std::vector<LoggedRequest> take_completed();
    // No request of the guest is in flight.
    bool is_idle() const { return in_flight_ == 0; }

    // Called on the loop thread when what the next cut will take uses half of the budget. The
    // handler only notifies. Set before use.
    void on_pressure(std::function<void()> handler) { pressure_handler_ = std::move(handler); }
    bool under_pressure() const { return logged_bytes_ > pressure_bytes_; }

    // The capture interface, for the disks whose requests the log gets.
    //
    // A disk is there from add_disk() to remove_disk(). It calls began() for each request,
    // remembers whether captures() held then, and calls ended() with that when the request has
    // completed, or was withdrawn. In between it may append() the request, if wants() says so.
    void add_disk(CapturedDisk& disk);
    void remove_disk(CapturedDisk& disk);
    void began() { ++in_flight_; }
    void ended(bool captured);
    // Requests that begin now are captured.
    bool captures() const { return phase_ != Phase::off || feeds_sink(); }
    // Captured reads go through a buffer, so that what they filled has a digest.
    bool redirects_reads() const { return reads_ == Reads::recorded || feeds_sink(); }
    Phase phase() const { return phase_; }
    // The log takes such a request for a backup.
    bool takes(BlockOp op) const;
    // The same, or a sink takes it.
    bool wants(BlockOp op) const { return takes(op) || feeds_sink(); }
    // Memory for the bytes of a captured request; nothing while there is no room.
    std::optional<Payload> allocate(std::size_t bytes) { return budget_->take(bytes); }
    // No captured request may start before wake().
    bool is_full() const { return budget_->is_exceeded(); }
    // Of the request that was appended last; 0: there is none yet.
    std::uint64_t last_sequence() const { return last_sequence_; }
    void append(LoggedRequest request);

  private:
    // What an entry counts in the budget beside its payload and what it filled.
    static constexpr std::uint64_t request_cost = 256;

    bool feeds_sink() const { return sink_ != nullptr && sink_->is_recording(); }
    std::vector<LoggedRequest> take_all();

    const Reads reads_;
    RequestSink* const sink_;
    const std::uint64_t pressure_bytes_;
    const std::shared_ptr<PayloadBudget> budget_;
    std::vector<CapturedDisk*> disks_;
    std::function<void()> pressure_handler_;
    std::atomic<Phase> phase_{Phase::off};
    std::atomic<std::uint32_t> in_flight_{0};
    std::atomic<std::uint32_t> uncaptured_{0};
    std::atomic<std::uint64_t> logged_bytes_{0};  // of completed_, payloads included
    std::uint64_t last_sequence_ = 0;             // of the loop thread

    Mutex mutex_;
    std::vector<LoggedRequest> completed_ FMVM_GUARDED_BY(mutex_);
    // To the budget, for completed_ without payloads.
    std::uint64_t charged_ FMVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace fmvm::replay
