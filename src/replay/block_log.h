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
#include <mutex>
#include <vector>

#include "devices/block/block_backend.h"
#include "replay/payload.h"
#include "vmm/page_set.h"

namespace fmvm::replay {

// A whole guest page that a read filled.
struct FilledPage {
    PageIndex page = 0;
    std::uint64_t offset = 0;  // of its bytes in the request
    std::uint64_t digest = 0;  // XXH3-64 of what the read put there
};

// A write's bytes, as its disk got them; shared by the backend that carries it out and the log.
struct WritePayload {
    Payload bytes;
    Segments segments;  // where in guest RAM they were
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
    std::uint64_t offset = 0;  // bytes
    std::uint64_t length = 0;  // bytes
    std::shared_ptr<WritePayload> write;  // of a write that has not failed
    std::vector<FilledPage> filled;       // of a read
};

class BlockLog {
  public:
    enum class Phase { off, mirroring, recording };
    enum class Reads { recorded, passed };  // passed: the payload of every write travels

    static constexpr std::uint64_t budget_default = 64 * mib;

    explicit BlockLog(Reads reads, std::uint64_t budget_bytes = budget_default);

    void begin();
    // Every request in flight was taken since begin(), so that the log will not miss how it ends.
    bool all_captured() const;
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

    // Asked for on the loop thread when the budget is half used. Only notifies. Set before use.
    void on_pressure(std::function<void()> handler);
    bool under_pressure() const;

  private:
    friend class RecordingBackend;
    // ... (core)
};

}  // namespace fmvm::replay
