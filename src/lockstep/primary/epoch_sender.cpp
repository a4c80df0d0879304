// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/epoch_sender.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crash_point.h"
#include "lockstep/wire/delta.h"

namespace fmvm::lockstep {

Result<void> EpochSender::cut(bool stay_stopped, TimePoint now) {
    FMVM_CHECK(!sending_);
    FMVM_CHECK(unacknowledged_.size() < unacknowledged_max);
    const TimePoint before = std::exchange(cut_began_, now);
    interval_ = epoch_ == 0 ? TimePoint::duration{} : now - before;
    digest_ = 0;
    bytes_ = 0;
    FMVM_TRY(source_.cut(++epoch_, stay_stopped));
    sending_ = true;
    return {};
}

void EpochSender::send_next() {
    FMVM_CHECK(sending_);
    OutgoingMessage message = source_.next_message();
    crash_point("mid-pages");
    if (!message.empty()) {
        count(message.body.size());
        digest_ = chain_digest(digest_, channel_.send(message.type, std::move(message.body)));
        return;
    }
    send_state();
    send_output();
    send_digests();
    send_commit();
    sending_ = false;
}

template <typename Message>
void EpochSender::send_with_commit(const Message& message) {
    GatheredBody body = message.encode();
    count(body.size());
    digest_ = chain_digest(digest_, channel_.send_with_next(Message::type, std::move(body)));
}

void EpochSender::send_state() {
    const std::vector<std::uint8_t>& state = source_.state();
    StateMessage message;
    message.epoch = epoch_;
    if (state_sent_.size() == state.size() &&
        encode_delta(state_sent_, state, state.size() / 2, message.image)) {
        message.encoding = StateEncoding::delta;
    } else {
        message.encoding = StateEncoding::whole;
        message.image = state;
    }
    state_sent_ = state;
    send_with_commit(message);
}

void EpochSender::send_output() {
    const ConsoleGate::EpochOutput& output = source_.output();
    for (std::size_t at = 0; at < output.bytes.size(); at += output_bytes_max) {
        const std::size_t count = std::min(output_bytes_max, output.bytes.size() - at);
        const auto first = output.bytes.begin() + static_cast<std::ptrdiff_t>(at);
        send_with_commit(OutputMessage{
            epoch_, output.position + at, {first, first + static_cast<std::ptrdiff_t>(count)}});
    }
}

void EpochSender::send_digests() {
    const std::vector<std::uint64_t>& digests = source_.digests();
    for (std::size_t at = 0; at < digests.size(); at += DigestsMessage::digests_max) {
        const std::size_t count = std::min(DigestsMessage::digests_max, digests.size() - at);
        const auto first = digests.begin() + static_cast<std::ptrdiff_t>(at);
        send_with_commit(
            DigestsMessage{epoch_, at, {first, first + static_cast<std::ptrdiff_t>(count)}});
    }
}

void EpochSender::send_commit() {
    CommitMessage commit;
    commit.epoch = epoch_;
    commit.page_records = source_.counts().records;
    commit.digest = digest_;
    commit.output_end = source_.output().position + source_.output().bytes.size();
    commit.output_shown = gate_.shown();
    // What the backup does not have yet is held: nobody has seen it.
    FMVM_CHECK(commit.output_shown <= commit.output_end);
    FMVM_CHECK(unacknowledged_.empty() || unacknowledged_.back().output_end <= commit.output_end);
    crash_point("before-commit");
    permit_.commits();
    commit_sent_ = true;
    GatheredBody body = commit.encode();
    count(body.size());
    channel_.send(CommitMessage::type, std::move(body));
    crash_point("after-commit");
    EpochRecord record;
    record.epoch = epoch_;
    record.interval = interval_;
    record.cut = source_.report();
    record.pages = source_.counts();
    record.blocks = source_.block_counts();
    record.bytes = bytes_;
    record.output_bytes = source_.output().bytes.size();
    unacknowledged_.push_back({commit.output_end, cut_began_, record});
}

Result<SentEpoch> EpochSender::acknowledged(EpochId epoch) {
    if (unacknowledged_.empty() || epoch != unacknowledged_.front().record.epoch)
        return make_error("it acknowledged epoch {} out of turn", epoch);
    SentEpoch sent = std::move(unacknowledged_.front());
    unacknowledged_.pop_front();
    return sent;
}

}  // namespace fmvm::lockstep
