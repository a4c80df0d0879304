// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/block_log_codec.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::lockstep;
using Catch::Contains;
using replay::BlockRecord;

namespace {

const std::vector<std::uint8_t> block_payload(512, 0x5a);

BlockRecord flush_record(std::uint64_t sequence) {
    BlockRecord record;
    record.sequence = sequence;
    record.op = BlockOp::flush;
    return record;
}

BlockRecord write_record(std::uint64_t sequence) {
    BlockRecord record;
    record.sequence = sequence;
    record.op = BlockOp::write;
    record.by_value = true;
    record.offset = 4096;
    record.length = block_payload.size();
    record.payload = block_payload;
    return record;
}

std::vector<std::uint8_t> log_of(std::initializer_list<BlockRecord> records) {
    GatheredBody body = begin_block_log_body(7);
    for (const BlockRecord& record : records)
        append_record(body, record);
    return body.flat();
}

}  // namespace

TEST_CASE("block log: the records that come are those that were sent, in their order", "[wire]") {
    const std::vector<std::uint8_t> body = log_of({write_record(3), flush_record(5)});
    const BlockLogBody log = parse_block_log_body(body).value();
    CHECK(log.epoch == 7);
    REQUIRE(log.records.size() == 2);
    CHECK(log.records[0].sequence == 3);
    CHECK(log.records[0].offset == 4096);
    CHECK(std::ranges::equal(log.records[0].payload, block_payload));
    CHECK(log.records[0].payload.data() >= body.data());  // it points into the body
    CHECK(log.records[0].payload.data() < body.data() + body.size());
    CHECK(log.records[1].sequence == 5);
    CHECK(log.records[1].op == BlockOp::flush);
}

TEST_CASE("block log: a message without records is refused", "[wire]") {
    CHECK(parse_block_log_body(log_of({})).error().message() ==
          "it sent a block log message without records");
}

TEST_CASE("block log: a message that is cut within a record is refused", "[wire]") {
    const std::size_t first = log_of({write_record(1)}).size();
    const std::vector<std::uint8_t> body = log_of({write_record(1), write_record(2)});
    for (std::size_t size = 0; size < body.size(); ++size) {
        CAPTURE(size);
        const bool whole = size == first;
        CHECK(parse_block_log_body({body.data(), size}).ok() == whole);
    }
}

TEST_CASE("block log: a record of a kind that there is not spoils the message", "[wire]") {
    constexpr std::size_t op_at = 8 + 8 + 1;  // behind the epoch, the sequence and the disk
    std::vector<std::uint8_t> body = log_of({flush_record(1), flush_record(2)});
    REQUIRE(parse_block_log_body(body).ok());
    body[op_at] = 0xee;
    CHECK_THAT(parse_block_log_body(body).error().message(), Contains("malformed block log"));
}
