// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/shadow.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/work_steps.h"
#include "lockstep/wire/delta.h"

namespace fmvm::lockstep {

namespace {

Result<void> apply_records(ShadowRam& ram, std::span<const std::uint8_t> body,
                           CopyBytes copy = copy_bytes) {
    PageIndex failed = 0;
    const bool applied = for_each_page(body, [&](const PageRecord& record) {
        failed = record.page;
        return apply_page(record, ram.page(record.page), copy);
    });
    if (!applied) return make_error("page {} cannot be unpacked", failed);
    return {};
}

// How to copy the pages of an epoch.
CopyBytes copy_for_pages(const std::vector<ReceivedPages>& messages) {
    std::size_t records = 0;
    for (const ReceivedPages& pages : messages)
        records += pages.records;
    return copy_for(records * page_size);
}

}  // namespace

Shadow::Shadow(ShadowRam& ram, ShadowDisks* disks)
    : ram_(ram), disks_(disks), staged_(ram.page_count()) {}

// Before the first commit nothing waits for it: the initial copy was applied as it came.
void Shadow::check_invariants() const {
    if (committed_ == 0) {
        FMVM_CHECK(staged_.pages().empty() && staged_.logs().empty());
        FMVM_CHECK(is_applied() && state_.empty() && tail_.bytes.empty());
    } else {
        FMVM_CHECK(!state_.empty());
    }
    FMVM_CHECK(disks_ != nullptr || staged_.logs().empty());
    FMVM_CHECK(tail_.bytes.size() + staged_.output().bytes.size() <= tail_bytes_max);
}

Result<void> Shadow::check_epoch(EpochId epoch) const {
    if (epoch == committed_ + 1) return {};
    return make_error("it sent a message of epoch {} during epoch {}", epoch, committed_ + 1);
}

std::span<const std::uint8_t> Shadow::staged_state() const {
    if (!staged_.state()) return {};
    return staged_.state()->image;
}

Result<void> Shadow::stage_pages(Frame frame) {
    const PagesBody pages = FMVM_TRY(check_pages_body(frame.body, ram_.page_count()));
    FMVM_TRY(check_epoch(pages.epoch));
    if (pages.records == 0) return Error("it sent a pages message without pages");
    if (committed_ == 0) return apply_records(ram_, frame.body);
    FMVM_TRY(staged_.add(ReceivedPages{std::move(frame.body), pages.records}));
    staged_.account(frame.digest);
    return {};
}

Result<void> Shadow::stage_block_log(Frame frame) {
    if (disks_ == nullptr) return Error("it sent a block log, but there are no disks to replay");
    const BlockLogBody log = FMVM_TRY(parse_block_log_body(frame.body));
    FMVM_TRY(check_epoch(log.epoch));
    for (const replay::BlockRecord& record : log.records)
        FMVM_TRY(disks_->check(record));
    if (committed_ == 0) return disks_->replay(log.records);
    FMVM_TRY(staged_.add(ReceivedLog{std::move(frame.body)}));
    staged_.account(frame.digest);
    return {};
}

Result<void> Shadow::stage_disk_serial(const Frame& frame) {
    if (disks_ == nullptr) return Error("it told a disk's serial, but there are no disks");
    const auto message = FMVM_TRY(replay::SerialMessage::decode(frame.body));
    FMVM_TRY(disks_->hear_serial(message));
    if (committed_ != 0) staged_.account(frame.digest);
    return {};
}

Result<void> Shadow::stage_state(const Frame& frame, TimePoint received) {
    StateMessage message = FMVM_TRY(StateMessage::decode(frame.body));
    FMVM_TRY(check_epoch(message.epoch));
    if (message.encoding == StateEncoding::delta) {
        if (!check_delta(message.image, state_.size())) return Error("a malformed state message");
        std::vector<std::uint8_t> image = state_;
        apply_delta(message.image, image);
        message.image = std::move(image);
    }
    FMVM_TRY(staged_.add(ReceivedState{std::move(message.image), received}));
    staged_.account(frame.digest);
    return {};
}

Result<void> Shadow::stage_output(const Frame& frame) {
    const OutputMessage message = FMVM_TRY(OutputMessage::decode(frame.body));
    FMVM_TRY(check_epoch(message.epoch));
    FMVM_TRY(staged_.add(message, tail_.bytes.size(), tail_bytes_max));
    staged_.account(frame.digest);
    return {};
}

Result<void> Shadow::stage_digests(const Frame& frame) {
    const DigestsMessage message = FMVM_TRY(DigestsMessage::decode(frame.body));
    FMVM_TRY(check_epoch(message.epoch));
    FMVM_TRY(staged_.add(message));
    staged_.account(frame.digest);
    return {};
}

std::optional<std::uint64_t> Shadow::tail_end() const {
    if (committed_ == 0) return std::nullopt;
    return tail_.position + tail_.bytes.size();
}

Result<void> Shadow::commit(const CommitMessage& commit) {
    FMVM_CHECK(is_applied());
    check_invariants();
    disks_failed_ = false;
    FMVM_TRY(check_epoch(commit.epoch));
    FMVM_TRY(staged_.check_whole(commit, tail_end()));
    FMVM_TRY(prepare_disks());

    // From here on nothing can fail: the epoch is committed as a whole.
    if (committed_ == 0) tail_.position = commit.output_end - staged_.output().bytes.size();
    append_output(staged_.output());
    state_received_ = staged_.state()->received;
    state_ = staged_.take_state_image();
    unapplied_ = std::exchange(staged_, StagedEpoch(ram_.page_count()));
    committed_ = commit.epoch;
    shown(commit.output_shown);
    check_invariants();
    return {};
}

// Until an epoch's block log has been replayed, the disks may differ where it says, whoever dies.
Result<void> Shadow::prepare_disks() {
    if (disks_ == nullptr) return {};
    if (committed_ == 0 && !disks_->equal())
        return Error("it committed before the disks were equal");
    disks_->hear_commit();
    if (committed_ == 0) FMVM_TRY(disks_->follow());
    for (const ReceivedLog& log : staged_.logs()) {
        const Result<void> marked = disks_->mark(FMVM_TRY(parse_block_log_body(log.body)).records);
        disks_failed_ = !marked.ok();
        FMVM_TRY(marked);
    }
    return {};
}

void Shadow::append_output(const ReceivedOutput& output) {
    FMVM_CHECK(output.bytes.empty() || output.position == tail_.position + tail_.bytes.size());
    tail_.bytes.insert(tail_.bytes.end(), output.bytes.begin(), output.bytes.end());
}

Result<void> Shadow::apply() {
    FMVM_CHECK(unapplied_);
    const CopyBytes copy = copy_for_pages(unapplied_->pages());
    for (const ReceivedPages& pages : unapplied_->pages()) {
        FMVM_TRY(apply_records(ram_, pages.body, copy));
        work_step();
    }
    for (const ReceivedLog& log : unapplied_->logs()) {
        const BlockLogBody body = FMVM_TRY(parse_block_log_body(log.body));
        FMVM_TRY(disks_->replay(body.records));
    }
    // Without records nobody else looks whether a flush has failed.
    if (unapplied_->logs().empty()) FMVM_TRY(disks_idle());
    FMVM_TRY(verify(unapplied_->digests()));
    unapplied_.reset();
    check_invariants();
    return {};
}

Result<void> Shadow::verify(const std::vector<std::uint64_t>& digests) const {
    if (digests.empty()) return {};
    if (digest_of(state_) != digests.back())
        return make_error("verify: the state differs from the primary's at epoch {}", committed_);
    for (std::size_t i = 0; i < ram_.page_count(); ++i) {
        const auto page = ram_.page(static_cast<PageIndex>(i));
        work_step();
        if (digests[i] != DigestsMessage::not_compared && digest_of(page) != digests[i])
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
