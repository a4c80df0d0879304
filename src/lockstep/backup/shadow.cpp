// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/shadow.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/digest.h"
#include "lockstep/wire/delta.h"

namespace fmvm::lockstep {

namespace {

Result<void> apply_records(ShadowRam& ram, const PagesBody& pages, CopyBytes copy = copy_bytes) {
    for (const PageRecord& record : pages.records) {
        if (!apply_page(record, ram.page(record.page), copy))
            return make_error("page {} cannot be unpacked", record.page);
    }
    return {};
}

}  // namespace

Result<void> Shadow::check_epoch(EpochId epoch) const {
    if (epoch == committed_ + 1) return {};
    return make_error("it sent a message of epoch {} during epoch {}", epoch, committed_ + 1);
}

void Shadow::account(const Frame& frame) {
    digest_ = chain_digest(digest_, frame.digest);
}

Result<void> Shadow::stage_pages(Frame frame) {
    PagesBody pages = FMVM_TRY(parse_pages_body(frame.body, ram_.page_count()));
    FMVM_TRY(check_epoch(pages.epoch));
    if (pages.records.empty()) return Error("it sent a pages message without pages");
    if (committed_ == 0) return apply_records(ram_, pages);
    records_ += pages.records.size();
    if (records_ > ram_.page_count()) return Error("it sent more pages than there are");
    account(frame);
    pages_.push_back({std::move(frame.body), std::move(pages)});
    return {};
}

Result<void> Shadow::stage_block_log(Frame frame) {
    if (disks_ == nullptr) return Error("it sent a block log, but there are no disks to replay");
    BlockLogBody log = FMVM_TRY(parse_block_log_body(frame.body));
    FMVM_TRY(check_epoch(log.epoch));
    for (const replay::BlockRecord& record : log.records)
        FMVM_TRY(disks_->check(record));
    if (committed_ == 0) return disks_->replay(log.records);
    log_bytes_ += frame.body.size();
    if (log_bytes_ > block_log_bytes_max) return Error("its block log of an epoch is too long");
    account(frame);
    log_.push_back({std::move(frame.body), std::move(log)});
    return {};
}

Result<void> Shadow::stage_state(const Frame& frame, TimePoint received) {
    StateMessage message = FMVM_TRY(StateMessage::decode(frame.body));
    FMVM_TRY(check_epoch(message.epoch));
    if (has_state_) return Error("it sent the state of an epoch twice");
    if (message.encoding == StateEncoding::delta) {
        if (!check_delta(message.image, state_.size())) return Error("a malformed state message");
        next_state_ = state_;
        apply_delta(message.image, next_state_);
    } else {
        next_state_ = std::move(message.image);
    }
    next_state_received_ = received;
    has_state_ = true;
    account(frame);
    return {};
}

Result<void> Shadow::stage_output(const Frame& frame) {
    OutputMessage message = FMVM_TRY(OutputMessage::decode(frame.body));
    FMVM_TRY(check_epoch(message.epoch));
    if (next_output_.empty()) next_output_position_ = message.position;
    if (message.position != next_output_position_ + next_output_.size())
        return Error("it left a gap in the console output");
    next_output_.insert(next_output_.end(), message.bytes.begin(), message.bytes.end());
    if (next_output_.size() + tail_.bytes.size() > tail_bytes_max)
        return Error("it sent more console output than can be kept");
    account(frame);
    return {};
}

Result<void> Shadow::stage_digests(const Frame& frame) {
    DigestsMessage message = FMVM_TRY(DigestsMessage::decode(frame.body));
    FMVM_TRY(check_epoch(message.epoch));
    if (message.first_page != next_digests_.size() ||
        message.digests.size() > ram_.page_count() + 1 - next_digests_.size()) {
        return Error("it sent digests of pages out of order");
    }
    next_digests_.insert(next_digests_.end(), message.digests.begin(), message.digests.end());
    account(frame);
    return {};
}

Result<void> Shadow::commit(const CommitMessage& commit) {
    FMVM_TRY(check_epoch(commit.epoch));
    const bool initial = committed_ == 0;
    if (!has_state_) return make_error("epoch {} has no state", commit.epoch);
    if (!initial && (commit.digest != digest_ || commit.page_records != records_))
        return make_error("epoch {} is not whole", commit.epoch);
    if (!next_digests_.empty() && next_digests_.size() != ram_.page_count() + 1)
        return make_error("epoch {} has digests of some pages only", commit.epoch);
    const std::uint64_t tail_end = tail_.position + tail_.bytes.size();
    if (next_output_.empty()) next_output_position_ = initial ? commit.output_end : tail_end;
    if ((!initial && next_output_position_ != tail_end) ||
        next_output_position_ + next_output_.size() != commit.output_end) {
        return make_error("the console output of epoch {} does not fit", commit.epoch);
    }

    if (initial && disks_ != nullptr) {
        if (!disks_->equal()) return Error("it committed before the disks were equal");
        FMVM_TRY(disks_->follow());
    }
    const Result<void> marked = mark_disks();
    disks_failed_ = !marked.ok();
    FMVM_TRY(marked);

    // From here on nothing can fail: the epoch is committed as a whole.
    if (initial) tail_.position = next_output_position_;
    tail_.bytes.insert(tail_.bytes.end(), next_output_.begin(), next_output_.end());
    state_ = std::move(next_state_);
    state_received_ = next_state_received_;
    std::ranges::move(pages_, std::back_inserter(unapplied_));
    std::ranges::move(log_, std::back_inserter(unreplayed_));
    unverified_ = std::move(next_digests_);
    committed_ = commit.epoch;
    pages_.clear();
    log_.clear();
    log_bytes_ = 0;
    next_state_.clear();
    next_output_.clear();
    next_digests_.clear();
    has_state_ = false;
    records_ = digest_ = 0;
    shown(commit.output_shown);
    return {};
}

Result<void> Shadow::mark_disks() {
    for (const StagedLog& log : log_)
        FMVM_TRY(disks_->mark(log.content.records));
    return {};
}

Result<void> Shadow::apply() {
    std::size_t count = 0;
    for (const StagedPages& pages : unapplied_)
        count += pages.content.records.size();
    const CopyBytes copy = copy_for(count * page_size);
    for (const StagedPages& pages : unapplied_)
        FMVM_TRY(apply_records(ram_, pages.content, copy));
    unapplied_.clear();
    for (const StagedLog& log : unreplayed_)
        FMVM_TRY(disks_->replay(log.content.records));
    if (unreplayed_.empty()) FMVM_TRY(disks_idle());
    unreplayed_.clear();
    const Result<void> verified = verify();
    unverified_.clear();
    return verified;
}

Result<bool> Shadow::disks_idle() {
    return disks_ == nullptr ? Result<bool>(true) : disks_->idle();
}

Result<void> Shadow::verify() const {
    if (unverified_.empty()) return {};
    if (digest_of(state_) != unverified_.back())
        return make_error("verify: the state differs from the primary's at epoch {}", committed_);
    for (std::size_t i = 0; i < ram_.page_count(); ++i) {
        const auto page = ram_.page(static_cast<PageIndex>(i));
        if (unverified_[i] != DigestsMessage::not_compared && digest_of(page) != unverified_[i])
            return make_error(
                "verify: RAM differs from the primary's at epoch {}, first in page {}", committed_,
                i);
    }
    return {};
}

void Shadow::shown(std::uint64_t position) {
    if (position <= tail_.position) return;
    const std::uint64_t count =
        std::min<std::uint64_t>(position - tail_.position, tail_.bytes.size());
    tail_.bytes.erase(tail_.bytes.begin(),
                      tail_.bytes.begin() + static_cast<std::ptrdiff_t>(count));
    tail_.position += count;
}

}  // namespace fmvm::lockstep
