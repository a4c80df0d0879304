// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/staged_epoch.h"

namespace fmvm::lockstep {

namespace {

// Of a body beside its bytes: its place in a list, which may have room for as many again, and what
// its allocation costs.
constexpr std::size_t body_cost = 2 * sizeof(ReceivedLog) + 64;

}  // namespace

Result<void> StagedEpoch::add(ReceivedPages pages) {
    if (pages.records > page_count_ - page_records_)
        return Error("it sent more pages than there are");
    page_records_ += pages.records;
    pages_.push_back(std::move(pages));
    return {};
}

Result<void> StagedEpoch::add(ReceivedLog log) {
    const std::size_t held = log.body.capacity() + body_cost;
    if (held > block_log_bytes_max - log_bytes_)
        return Error("its block log of an epoch is too long");
    log_bytes_ += held;
    logs_.push_back(std::move(log));
    return {};
}

Result<void> StagedEpoch::add(ReceivedState state) {
    if (state_) return Error("it sent the state of an epoch twice");
    if (state.image.empty()) return Error("it sent an empty state");
    state_ = std::move(state);
    return {};
}

Result<void> StagedEpoch::add(const OutputMessage& output, std::size_t bytes_before,
                              std::size_t bytes_max) {
    const bool first = output_.bytes.empty();
    if (!first && output.position != output_.position + output_.bytes.size())
        return Error("it left a gap in the console output");
    if (bytes_before + output_.bytes.size() + output.bytes.size() > bytes_max)
        return Error("it sent more console output than can be kept");
    if (first) output_.position = output.position;
    output_.bytes.insert(output_.bytes.end(), output.bytes.begin(), output.bytes.end());
    return {};
}

Result<void> StagedEpoch::add(const DigestsMessage& digests) {
    if (digests.first_page != digests_.size() ||
        digests.digests.size() > page_count_ + 1 - digests_.size()) {
        return Error("it sent digests of pages out of order");
    }
    digests_.insert(digests_.end(), digests.digests.begin(), digests.digests.end());
    return {};
}

void StagedEpoch::account(std::uint64_t body_digest) {
    bodies_digest_ = chain_digest(bodies_digest_, body_digest);
}

Result<void> StagedEpoch::check_whole(const CommitMessage& commit,
                                      std::optional<std::uint64_t> output_begin) const {
    const bool initial = !output_begin;
    if (!state_) return make_error("epoch {} has no state", commit.epoch);
    // Sequence numbers alone prove the initial copy, which was applied as it came.
    if (!initial && (commit.digest != bodies_digest_ || commit.page_records != page_records_))
        return make_error("epoch {} is not whole", commit.epoch);
    if (!digests_.empty() && digests_.size() != page_count_ + 1)
        return make_error("epoch {} has digests of some pages only", commit.epoch);
    const bool silent = output_.bytes.empty();
    const std::uint64_t begin =
        silent ? output_begin.value_or(commit.output_end) : output_.position;
    if (begin != output_begin.value_or(begin) ||
        begin + output_.bytes.size() != commit.output_end) {
        return make_error("the console output of epoch {} does not fit", commit.epoch);
    }
    return {};
}

}  // namespace fmvm::lockstep
