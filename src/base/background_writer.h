// SPDX-License-Identifier: Apache-2.0
// Text for a reader who may not read it. A thread of its own writes it to a descriptor, so that no
// other thread ever waits for a full pipe, or for a terminal after Ctrl-S.
//
//     write() --> waiting, bounded --> thread --> descriptor
//                    | full                 | closed, disk full
//                    +------> lost <--------+      counted, and told once the reader reads again
//
// Threads: every function may be called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/mutex.h"
#include "base/units.h"

namespace fmvm {

class BackgroundWriter {
  public:
    static constexpr std::size_t waiting_bytes_max = 256 * kib;

    // The descriptor is not owned, its flags are left alone, and it stays open.
    explicit BackgroundWriter(int fd, std::size_t waiting_max = waiting_bytes_max);
    // Drops what waits.
    ~BackgroundWriter();
    BackgroundWriter(const BackgroundWriter&) = delete;
    BackgroundWriter& operator=(const BackgroundWriter&) = delete;

    // Whole lines. They are lost when so much waits already that there is no room for them.
    void write(std::string_view text);
    // The same, but never lost for want of room: for the few sentences that end a process.
    void write_above_limit(std::string_view text);
    // Text that the next one replaces: left out, and not counted, while anything waits.
    void offer(std::string_view text);

    // Waits until all has been written or is lost; false when `limit` has passed before.
    bool flush(std::chrono::milliseconds limit);

    bool is_terminal() const;

  private:
    using Deadline = std::optional<std::chrono::steady_clock::time_point>;
    struct Batch {
        std::string text;
        std::uint64_t lines = 0;  // that are lost if all of it is, those lost before it included
    };

    void add(std::string_view text) FMVM_REQUIRES(mutex_);
    void run();
    Batch take_waiting() FMVM_REQUIRES(mutex_);
    void finish(const Batch& batch, std::size_t written) FMVM_REQUIRES(mutex_);
    std::size_t write_out(std::string_view text, Deadline deadline) const;
    bool may_go_on(Deadline deadline) const;

    const int fd_;
    const std::size_t waiting_max_;
    Mutex mutex_;
    Condition changed_;
    std::string waiting_ FMVM_GUARDED_BY(mutex_);
    std::uint64_t lost_lines_ FMVM_GUARDED_BY(mutex_) = 0;
    bool writing_ FMVM_GUARDED_BY(mutex_) = false;
    std::atomic<bool> stopping_{false};
    std::thread thread_;  // begun at the first text; none: flush() writes
};

}  // namespace fmvm
