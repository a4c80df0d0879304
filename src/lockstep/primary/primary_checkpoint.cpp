// SPDX-License-Identifier: Apache-2.0
// What of a checkpoint goes behind its pages and block log: state, output, digests, commit.
#include <algorithm>

#include "base/crash_point.h"
#include "lockstep/primary/primary.h"
#include "lockstep/wire/delta.h"

namespace fmvm::lockstep {

void Primary::send_rest_of_checkpoint() {
    packing_ = false;
    send_state();
    send_output();
    send_digests();
    CommitMessage commit;
    commit.epoch = epoch_;
    commit.page_records = source_.counts().records;
    commit.digest = digest_;
    commit.output_end = source_.output().position + source_.output().bytes.size();
    commit.output_shown = gate_.shown();
    crash_point("before-commit");
    commit_sent_ = true;
    send(commit);
    crash_point("after-commit");
    EpochRecord record;
    record.epoch = epoch_;
    record.interval = interval_;
    record.cut = source_.report();
    record.pages = source_.counts();
    record.blocks = source_.block_counts();
    record.bytes = bytes_;
    record.output_bytes = source_.output().bytes.size();
    sent_.push_back({epoch_, commit.output_end, cut_began_, record});
}

void Primary::send_state() {
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
    send(message);
}

void Primary::send_output() {
    const ConsoleGate::EpochOutput& output = source_.output();
    for (std::size_t at = 0; at < output.bytes.size(); at += output_bytes_max) {
        const std::size_t count = std::min(output_bytes_max, output.bytes.size() - at);
        const auto first = output.bytes.begin() + static_cast<std::ptrdiff_t>(at);
        send(OutputMessage{
            epoch_, output.position + at, {first, first + static_cast<std::ptrdiff_t>(count)}});
    }
}

void Primary::send_digests() {
    const std::vector<std::uint64_t>& digests = source_.digests();
    for (std::size_t at = 0; at < digests.size(); at += DigestsMessage::digests_max) {
        const std::size_t count = std::min(DigestsMessage::digests_max, digests.size() - at);
        const auto first = digests.begin() + static_cast<std::ptrdiff_t>(at);
        send(DigestsMessage{epoch_, at, {first, first + static_cast<std::ptrdiff_t>(count)}});
    }
}

}  // namespace fmvm::lockstep
