// SPDX-License-Identifier: Apache-2.0
// Writes what a machine's disks were asked to do to an epoch log, beside the running guest and
// without ever making it wait: a thread of its own writes, and a recording that cannot keep up, or
// whose file cannot be written, ends there with one warning, at a whole epoch.
//
// Only what counts is written:
//
//     alone --close_epoch()--> following --commit_all()--> alone
//
//   - alone (at first): nobody could contradict this side, so each request counts when it is
//     complete. Requests of a tenth of a second, or of a few MiB, become an epoch.
//   - following: an epoch is what completed between two cuts, and waits for commit().
//
// What is not committed when this goes is forgotten.
//
// Threads: append() on the loop thread; close_epoch() while that stands; the rest any.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "replay/archive/epoch_log.h"
#include "replay/capture/request_sink.h"

namespace fmvm::replay {

class EpochRecorder : public RequestSink {
  public:
    // Payloads and the rest that wait to be committed or written: more ends the recording.
    static constexpr std::uint64_t held_bytes_max = 128 * mib;

    EpochRecorder();
    ~EpochRecorder() override;
    EpochRecorder(const EpochRecorder&) = delete;
    EpochRecorder& operator=(const EpochRecorder&) = delete;

    // Before the guest runs; the time of the header is now. `start`: what the images hold, as
    // reads; the file's first epoch.
    Result<void> begin(const std::string& path, const EpochLogHeader& header,
                       std::uint64_t generation, const std::vector<LoggedRequest>& start);

    bool is_recording() const override;
    void append(const LoggedRequest& request) override;
    std::uint64_t held_bytes_limit() const override { return held_bytes_max; }
    // A cut: what was appended since the last belongs to this epoch of the connection. At the first
    // cut after the guest ran alone, it counts already.
    void close_epoch(std::uint64_t epoch);
    // The epochs up to this one count.
    void commit(std::uint64_t epoch);
    // All that was appended counts, and the guest runs alone from now on.
    void commit_all();
    void set_generation(std::uint64_t generation);

    // Nothing more is taken. What counts has been written when it returns, unless the file hangs
    // for `farewell`. Idempotent.
    void end();
    static constexpr std::chrono::seconds farewell{10};

  private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
    std::thread thread_;
};

}  // namespace fmvm::replay
