// SPDX-License-Identifier: Apache-2.0
// The messages of one epoch as they come in: kept whole and in memory until its commit shows that
// nothing is missing.
//
// Bounded: there are no more page records than pages, and the block log has a limit. Bodies are
// kept as they came, and read again when they are used: a record takes several times as much room
// when it is taken apart.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "base/units.h"
#include "lockstep/wire/block_log_codec.h"
#include "lockstep/wire/messages.h"
#include "lockstep/wire/page_codec.h"

namespace fmvm::lockstep {

// Bodies that were checked.
struct ReceivedPages {
    Buffer body;
    std::size_t records = 0;
};
struct ReceivedLog {
    Buffer body;
};

// A guest's state image. It began to arrive at `received`; the guest stood a little earlier.
struct ReceivedState {
    std::vector<std::uint8_t> image;
    std::chrono::steady_clock::time_point received;
};

// Console output in one piece; `position` of its first byte.
struct ReceivedOutput {
    std::uint64_t position = 0;
    std::vector<std::uint8_t> bytes;
};

class StagedEpoch {
  public:
    explicit StagedEpoch(std::uint64_t page_count) : page_count_(page_count) {}

    // Each takes one message; an error means that the peer breaks the protocol, and then nothing
    // was taken.
    Result<void> add(ReceivedPages pages);
    Result<void> add(ReceivedLog log);
    Result<void> add(ReceivedState state);
    // The committed output before it and this epoch's together hold at most `bytes_max` bytes, of
    // which `bytes_before` are there already.
    Result<void> add(const OutputMessage& output, std::size_t bytes_before, std::size_t bytes_max);
    Result<void> add(const DigestsMessage& digests);
    // What was added last had this body, by its digest.
    void account(std::uint64_t body_digest);

    // Whether all of the epoch is here, as its commit describes it. Output must begin where that of
    // the epoch before ends; none: where it begins is for the primary to say (the first epoch).
    Result<void> check_whole(const CommitMessage& commit,
                             std::optional<std::uint64_t> output_begin) const;

    const std::vector<ReceivedPages>& pages() const { return pages_; }
    const std::vector<ReceivedLog>& logs() const { return logs_; }
    const std::optional<ReceivedState>& state() const { return state_; }
    const ReceivedOutput& output() const { return output_; }
    // Of each page and, behind them, of the state; empty unless the epoch is to be verified.
    const std::vector<std::uint64_t>& digests() const { return digests_; }
    // What has become the committed state moves out; once.
    std::vector<std::uint8_t> take_state_image() { return std::move(state_.value().image); }

    // As it is held.
    static constexpr std::size_t block_log_bytes_max = 256 * mib;

  private:
    std::uint64_t page_count_;
    std::vector<ReceivedPages> pages_;
    std::uint64_t page_records_ = 0;
    std::vector<ReceivedLog> logs_;
    std::size_t log_bytes_ = 0;
    std::optional<ReceivedState> state_;
    ReceivedOutput output_;
    std::vector<std::uint64_t> digests_;
    std::uint64_t bodies_digest_ = 0;  // chained, of the messages added
};

}  // namespace fmvm::lockstep
