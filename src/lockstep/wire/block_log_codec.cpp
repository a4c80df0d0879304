// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/block_log_codec.h"

namespace fmvm::lockstep {

GatheredBody begin_block_log_body(EpochId epoch) {
    ByteWriter out;
    out.u64(epoch);
    return GatheredBody(out.take());
}

void append_record(GatheredBody& body, const replay::BlockRecord& record) {
    ByteWriter out;
    replay::encode_record(record, out);
    body.own().insert(body.own().end(), out.bytes().begin(), out.bytes().end());
    if (record.by_value) body.refer(record.payload);
}

Result<BlockLogBody> parse_block_log_body(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    BlockLogBody log;
    log.epoch = in.u64();
    while (in.ok() && in.remaining() != 0)
        log.records.push_back(replay::decode_record(in));
    if (!in.done()) return Error("a malformed block log message");
    if (log.records.empty()) return Error("it sent a block log message without records");
    return log;
}

}  // namespace fmvm::lockstep
