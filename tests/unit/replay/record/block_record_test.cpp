// SPDX-License-Identifier: Apache-2.0
#include "replay/record/block_record.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <random>

#include "support/guest_ram.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

namespace {

BlockRecord make(BlockOp op, std::uint64_t offset = 4096, std::uint64_t length = 8192) {
    BlockRecord record;
    record.sequence = 0x1122334455667788;
    record.disk = 1;
    record.op = op;
    record.offset = offset;
    record.length = length;
    record.digest = 0x99aabbccddeeff00;
    return record;
}
BlockRecord by_reference() {
    BlockRecord record = make(BlockOp::write);
    record.segments = {{GuestAddress(0x1000), 4096}, {GuestAddress(0x5123), 4096}};
    return record;
}
const Bytes payload(1024, 0x5a);
BlockRecord by_value() {
    BlockRecord record = make(BlockOp::write, 512, payload.size());
    record.by_value = true;
    record.payload = payload;
    return record;
}

Bytes encode(const BlockRecord& record) {
    ByteWriter out;
    encode_record(record, out);
    out.raw(record.payload);
    return out.take();
}
bool is_accepted(const BlockRecord& record) {
    const Bytes bytes = encode(record);
    ByteReader in(bytes);
    decode_record(in);
    return in.done();
}

const DiskLimits limits[] = {{64 * kib, 512, true}, {64 * kib, 4096, false}};

std::string why_not(const BlockRecord& record, const GuestMemory* memory) {
    const Result<void> checked = check_record(record, limits, memory);
    return checked.ok() ? "" : checked.error().message();
}

}  // namespace

TEST_CASE("block record: comes out as it went in") {
    BlockRecord failed = make(BlockOp::write);
    failed.failed = true;
    BlockRecord zeroes = make(BlockOp::write_zeroes, 0, 1 * gib);
    zeroes.may_unmap = true;
    for (const BlockRecord& record :
         {make(BlockOp::read), by_reference(), by_value(), make(BlockOp::flush, 0, 0),
          make(BlockOp::discard), zeroes, failed}) {
        Bytes bytes = encode(record);
        bytes.push_back(0xee);  // the next one
        ByteReader in(bytes);
        const BlockRecord decoded = decode_record(in);
        REQUIRE(in.ok());
        CHECK(in.remaining() == 1);
        CHECK(decoded.sequence == record.sequence);
        CHECK(decoded.disk == record.disk);
        CHECK(decoded.op == record.op);
        CHECK(decoded.failed == record.failed);
        CHECK(decoded.may_unmap == record.may_unmap);
        CHECK(decoded.by_value == record.by_value);
        CHECK(decoded.offset == record.offset);
        CHECK(decoded.length == record.length);
        CHECK(decoded.digest == record.digest);
        CHECK(std::ranges::equal(decoded.payload, record.payload));
        CHECK(std::ranges::equal(
            decoded.segments, record.segments, [](const Segment& one, const Segment& other) {
                return one.address == other.address && one.length == other.length;
            }));
    }
}

TEST_CASE("block record: every field of one that was cut off is missed") {
    for (const BlockRecord& record : {by_reference(), by_value()}) {
        const Bytes bytes = encode(record);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            ByteReader in(std::span<const std::uint8_t>(bytes).first(size));
            decode_record(in);
            CHECK_FALSE(in.ok());
        }
    }
}

TEST_CASE("block record: fields that do not fit together are refused") {
    const std::pair<const char*, std::function<void(BlockRecord&)>> changes[] = {
        {"a read by value",
         [](BlockRecord& r) {
             r = by_value();
             r.op = BlockOp::read;
         }},
        {"failed, and a payload",
         [](BlockRecord& r) {
             r = by_value();
             r.failed = true;
         }},
        {"by value and by reference",
         [](BlockRecord& r) {
             r = by_value();
             r.segments = {{GuestAddress(0), 1024}};
         }},
        {"segments of another length", [](BlockRecord& r) { r.length -= 512; }},
        {"segments of a discard", [](BlockRecord& r) { r.op = BlockOp::discard; }},
        {"no length", [](BlockRecord& r) { r = make(BlockOp::read, 0, 0); }},
        {"a flush of something", [](BlockRecord& r) { r = make(BlockOp::flush, 0, 512); }},
        {"a flush somewhere", [](BlockRecord& r) { r = make(BlockOp::flush, 512, 0); }},
        {"a read that no guest makes",
         [](BlockRecord& r) { r = make(BlockOp::read, 0, record_transfer_max + 512); }},
        {"more segments than a backend takes",
         [](BlockRecord& r) {
             r.segments.assign(record_segments_max + 1, {GuestAddress(0), 512});
             r.length = r.segments.size() * 512;
         }},
        {"too long by value",
         [](BlockRecord& r) {
             static const Bytes large(record_payload_max + 512);
             r = by_value();
             r.payload = large;
             r.length = large.size();
         }},
    };
    CHECK(is_accepted(by_reference()));
    for (const auto& [name, change] : changes) {
        INFO(name);
        BlockRecord record = by_reference();
        change(record);
        CHECK_FALSE(is_accepted(record));
    }
}

TEST_CASE("block record: unknown operations and flags are refused") {
    constexpr std::size_t op_at = 9;
    constexpr std::size_t flags_at = 10;
    for (unsigned value = 0; value < 256; ++value) {
        Bytes bytes = encode(make(BlockOp::discard));
        bytes[op_at] = static_cast<std::uint8_t>(value);
        ByteReader of_op(bytes);
        decode_record(of_op);
        CHECK(of_op.ok() == (value <= 4 && value != 2));  // no flush has a length
        bytes = encode(make(BlockOp::discard));
        bytes[flags_at] = static_cast<std::uint8_t>(value);
        ByteReader of_flags(bytes);
        decode_record(of_flags);
        CHECK(of_flags.ok() == (value < 4));
    }
}

TEST_CASE("block record: what is decoded from anything at all encodes to the same") {
    std::mt19937_64 random(5);
    std::uint64_t accepted = 0;
    for (unsigned round = 0; round < 200'000; ++round) {
        Bytes bytes = encode(round % 2 == 0 ? by_reference() : by_value());
        for (std::uint64_t changes = random() % 4; changes != 0; --changes)
            bytes[random() % std::min<std::size_t>(70, bytes.size())] =
                static_cast<std::uint8_t>(random() % (round % 3 == 0 ? 256 : 5));
        ByteReader in(bytes);
        const BlockRecord record = decode_record(in);
        if (!in.done()) continue;
        ++accepted;
        CHECK((encode(record) == bytes));
    }
    CHECK(accepted > 10'000);
}

TEST_CASE("block record: one that these disks and this RAM can carry out") {
    const GuestRam ram(64 * kib);
    GuestMemory* const memory = &const_cast<GuestRam&>(ram).memory();
    BlockRecord flush_of_read_only = make(BlockOp::flush, 0, 0);
    flush_of_read_only.disk = 0;
    BlockRecord read_of_read_only = make(BlockOp::read, 512, 512);
    read_of_read_only.disk = 0;
    BlockRecord aligned = by_value();
    aligned.offset = aligned.length = 4096;
    BlockRecord failed = make(BlockOp::write);
    failed.failed = true;
    for (const BlockRecord& record :
         {make(BlockOp::read), by_reference(), aligned, make(BlockOp::discard, 60 * kib, 4096),
          flush_of_read_only, read_of_read_only, failed}) {
        CHECK(why_not(record, memory) == "");
    }
    CHECK(why_not(aligned, nullptr) == "");
    CHECK(why_not(make(BlockOp::read), nullptr) == "");
}

TEST_CASE("block record: one that they cannot is refused with the reason") {
    GuestRam ram(64 * kib);
    const auto refused = [&ram](const BlockRecord& record, const char* why,
                                const GuestMemory* memory) {
        INFO(why);
        CHECK_THAT(why_not(record, memory), Catch::Contains(why));
        CHECK_THAT(why_not(record, memory), Catch::Contains("1234605616436508552"));  // sequence
    };
    const GuestMemory* const memory = &ram.memory();
    BlockRecord record = make(BlockOp::read);
    record.disk = 2;
    refused(record, "a disk that there is not", memory);
    for (const BlockOp op : {BlockOp::write, BlockOp::discard, BlockOp::write_zeroes}) {
        record = make(op);
        record.disk = 0;
        refused(record, "read-only", memory);
    }
    refused(make(BlockOp::read, 60 * kib, 8192), "beyond its disk", memory);
    refused(make(BlockOp::discard, UINT64_MAX - 4095, 4096), "beyond its disk", memory);
    refused(make(BlockOp::read, 512, 4096), "not aligned", memory);
    refused(make(BlockOp::read, 4096, 512), "not aligned", memory);
    refused(make(BlockOp::write), "without its payload", memory);
    refused(by_reference(), "not guest memory", nullptr);
    const Segment elsewhere[] = {{GuestAddress(64 * kib), 4096},
                                 {GuestAddress(60 * kib + 1), 4096},
                                 {GuestAddress(UINT64_MAX - 1), 4096}};
    for (const Segment& segment : elsewhere) {
        record = by_reference();
        record.segments[1] = segment;
        refused(record, "not guest memory", memory);
    }
}
