// SPDX-License-Identifier: Apache-2.0
// Figures about epochs: percentiles over the last ones, and one JSON line per epoch to a trace.
// Any thread may call.
#pragma once

#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "lockstep/checkpoint/checkpoint_source.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

struct EpochRecord {
    EpochId epoch = 0;
    std::chrono::steady_clock::duration interval{};  // since the cut before; 0 for the first
    CutReport cut;
    PageCounts pages;
    replay::BlockCounts blocks;
    std::uint64_t bytes = 0;         // on the wire, for this epoch
    std::uint64_t output_bytes = 0;  // of the console, held until the acknowledgement
    std::chrono::steady_clock::duration acknowledged{};  // from the beginning of the cut
};

// The file for a trace, made when there is none. An error if it cannot be written, or holds
// anything but a trace of before; nothing is changed.
Result<UniqueFd> open_trace(const std::string& path);

class EpochStats {
  public:
    // One JSON object per line and epoch, from now on.
    Result<void> trace_to(const std::string& path);
    void add(const EpochRecord& record);
    // A few lines for people; empty before the first epoch.
    std::string summary() const;

    static constexpr std::size_t window = 1000;  // epochs that percentiles are taken over

  private:
    struct CloseFile {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    mutable Mutex mutex_;
    std::deque<EpochRecord> records_ FMVM_GUARDED_BY(mutex_);
    std::uint64_t total_ FMVM_GUARDED_BY(mutex_) = 0;
    std::unique_ptr<std::FILE, CloseFile> trace_ FMVM_GUARDED_BY(mutex_);
};

}  // namespace fmvm::lockstep
