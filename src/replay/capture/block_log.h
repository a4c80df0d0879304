// SPDX-License-Identifier: Apache-2.0
// What the disks of a machine were asked to do, as its RecordingBackends saw it: the source of the
// records that a backup replays. One log for all disks, because a write to one may take its bytes
// from a page that a read of another filled.
//
//     off --begin()--> mirroring --start_epochs()--> recording --end()--> off
//
// off: nothing is kept. mirroring: changes are kept with their payload until take_completed(), for
// a backup whose disks are being made equal. recording: changes, and reads that fill whole pages,
// are kept until the next cut takes them.
//
// A recorder, if there is one, gets everything, in every phase.
//
// The order of the log is that of completion; requests that overlap complete in the order in which
// the guest made them (RecordingBackend). Memory for payloads has a budget: from half of it on a
// cut is asked for, beyond it requests wait.
//
// Threads: recording backends on the loop thread; begin(), start_epochs(), close_epoch() and end()
// on the controlling thread while the loop stands; the rest any.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "devices/block/block_backend.h"
#include "replay/capture/payload.h"
#include "vmm/memory/page_set.h"

namespace fmvm::replay {

// A whole guest page that a read filled. A backup's log names it instead of a mark in GuestMemory:
// a page that no mark and no dirty log names at the cut still holds what the last such read put
// there.
struct FilledPage {
    PageIndex page = 0;
    std::uint64_t offset = 0;  // of its bytes in the request
    std::uint64_t digest = 0;  // XXH3-64 of what the read put there
};

// A write's bytes, as its disk got them; shared by the backend that carries it out and the log.
struct WritePayload {
    Payload bytes;
    Segments segments;  // where in guest RAM they were
    // Of the last request that the log knew when they were copied: what reads before filled was
    // there.
    std::uint64_t taken_after = 0;
    // Of the thread that applies the reference rule: whether the last cut that saw this write in
    // flight found guest RAM, page by page of `segments`, to hold the same bytes still. Empty: no
    // cut has seen it.
    std::vector<bool> matched;
};

struct LoggedRequest {
    std::uint64_t sequence = 0;
    std::uint8_t disk = 0;
    BlockOp op = BlockOp::read;
    bool failed = false;
    bool may_unmap = false;
    std::uint64_t offset = 0;             // bytes
    std::uint64_t length = 0;             // bytes
    std::shared_ptr<WritePayload> write;  // of a write that has not failed
    std::vector<FilledPage> filled;       // of a read
};

class EpochRecorder;
class RecordingBackend;

class BlockLog {
  public:
    enum class Phase { off, mirroring, recording };
    enum class Reads { recorded, passed };  // passed: the payload of every write travels

    static constexpr std::uint64_t budget_default = 64 * mib;

    // budget_bytes: at least twice the largest request, or that one waits for a cut; what a
    // recorder, which outlives this, may hold is beside it.
    explicit BlockLog(Reads reads, std::uint64_t budget_bytes = budget_default,
                      EpochRecorder* recorder = nullptr);
    ~BlockLog();

    void begin();
    // Every request in flight was taken since begin(), so that the log will not miss how it ends.
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
    // Nothing that the guest asked for is on its way.
    bool is_idle() const { return in_flight_ == 0; }

    // Called on the loop thread when what the next cut will take uses half of the budget. Only
    // notifies. Set before use.
    void on_pressure(std::function<void()> handler) { pressure_handler_ = std::move(handler); }
    bool under_pressure() const { return logged_bytes_ > pressure_bytes_; }

  private:
    friend class RecordingBackend;
    // What an entry counts in the budget beside its payload and what it filled.
    static constexpr std::uint64_t request_cost = 256;

    // Of the backends, on the loop thread.
    void add_backend(RecordingBackend& backend);
    void remove_backend(RecordingBackend& backend);
    void began() { ++in_flight_; }
    void ended(bool captured);
    bool feeds_recorder() const;
    bool captures() const { return phase_ != Phase::off || feeds_recorder(); }
    bool redirects_reads() const { return reads_ == Reads::recorded || feeds_recorder(); }
    bool takes(BlockOp op) const;
    void append(LoggedRequest request);
    std::vector<LoggedRequest> take_all();

    const Reads reads_;
    EpochRecorder* const recorder_;
    const std::uint64_t pressure_bytes_;
    const std::shared_ptr<PayloadBudget> budget_;
    std::vector<RecordingBackend*> backends_;
    std::function<void()> pressure_handler_;
    std::atomic<Phase> phase_{Phase::off};
    std::atomic<std::uint32_t> in_flight_{0};
    std::atomic<std::uint32_t> uncaptured_{0};
    std::atomic<std::uint64_t> logged_bytes_{0};  // of completed_, payloads included
    std::uint64_t next_sequence_ = 1;             // of the loop thread

    Mutex mutex_;
    std::vector<LoggedRequest> completed_ FMVM_GUARDED_BY(mutex_);
    // To the budget, for completed_ without payloads.
    std::uint64_t charged_ FMVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace fmvm::replay
