// SPDX-License-Identifier: Apache-2.0
#include "replay/record/reference_rule.h"

#include <catch2/catch.hpp>

#include "support/rule_bench.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

TEST_CASE("rule: a write whose pages did not change since its payload was taken") {
    RuleBench bench;
    bench.write({{page(3) + 100, 512}, {page(5), 4096}}, 7);
    const OutgoingRecords outgoing = bench.apply_rule();
    REQUIRE(outgoing.records.size() == 1);
    const BlockRecord& record = outgoing.records[0];
    CHECK_FALSE(record.by_value);
    CHECK(record.sequence == 1);
    CHECK(record.disk == 2);
    CHECK(record.length == 4608);
    CHECK(record.segments.size() == 2);
    CHECK(record.digest == digest_of(Bytes(4608, 7)));
    CHECK(outgoing.kept.empty());
}

TEST_CASE("rule: of pages that changed, what the write took must be there still") {
    RuleBench bench;
    bench.write({{page(3) + 100, 512}}, 7);
    bench.staged[3] = filled_with(1);
    CHECK_FALSE(bench.is_by_reference());
    std::fill_n(bench.staged[3].begin() + 100, 512, std::uint8_t{7});
    CHECK(bench.is_by_reference());
    bench.staged[3][100 + 511] = 0;
    CHECK_FALSE(bench.is_by_reference());
}

TEST_CASE("rule: every page of a write counts") {
    for (const PageIndex changed : {3U, 4U, 6U}) {
        RuleBench bench;
        bench.write({{page(3) + 4000, 1024}, {page(6) + 7, 1024}}, 7);
        bench.staged[changed] = filled_with(1);
        CHECK_FALSE(bench.is_by_reference());
    }
}

TEST_CASE("rule: a write in flight at a cut is compared with what that cut left") {
    RuleBench bench;
    const auto write = bench.payload({{page(3), 4096}, {page(4), 4096}}, 7);
    const auto complete = [&] {
        bench.add(BlockOp::write, 0, 8192).write = write;
        return bench.is_by_reference();
    };
    bench.epoch.in_flight = {write};
    SECTION("nothing changed") {
        bench.apply_rule();
        CHECK(write->matched == std::vector<bool>{true, true});
        bench.next_epoch();
        CHECK(complete());
    }
    SECTION("it changed before the cut") {
        bench.staged[4] = filled_with(8);
        bench.apply_rule();
        CHECK(write->matched == std::vector<bool>{true, false});
        bench.next_epoch();
        SECTION("and stayed so") {
            CHECK_FALSE(complete());
        }
        SECTION("and again after it") {
            bench.staged[4] = filled_with(7);
            CHECK(complete());
        }
        SECTION("and stayed so for another epoch") {
            bench.epoch.in_flight = {write};
            bench.apply_rule();
            bench.next_epoch();
            CHECK_FALSE(complete());
        }
        SECTION("and was made good in an epoch before it completed") {
            bench.epoch.in_flight = {write};
            bench.staged[4] = filled_with(7);
            bench.apply_rule();
            bench.next_epoch();
            CHECK(complete());
        }
    }
    SECTION("it changed after the cut") {
        bench.apply_rule();
        bench.next_epoch();
        bench.staged[3] = filled_with(8);
        CHECK_FALSE(complete());
    }
    SECTION("nothing is known of the time before") {
        forget_pages(*write, bench.ram.memory());
        bench.next_epoch();
        CHECK_FALSE(complete());
        bench.next_epoch();
        bench.staged[3] = bench.staged[4] = filled_with(7);
        CHECK(complete());
    }
}

TEST_CASE("rule: a long payload by value becomes several records that make it up") {
    RuleBench bench;
    GuestRam large(4 * mib);
    Segments segments{{GuestAddress(0), static_cast<std::uint32_t>(2 * mib + 512)}};
    LoggedRequest& request = bench.add(BlockOp::write, 1024, 2 * mib + 512);
    request.write = bench.payload(segments, 5);
    const OutgoingRecords outgoing = bench.apply_rule(PayloadMode::by_value);
    REQUIRE(outgoing.records.size() == 3);
    std::uint64_t offset = 1024;
    for (const BlockRecord& record : outgoing.records) {
        CHECK(record.by_value);
        CHECK(record.segments.empty());
        CHECK(record.offset == offset);
        CHECK(record.length == record.payload.size());
        CHECK(record.length <= record_payload_max);
        CHECK(record.digest == digest_of(record.payload));
        CHECK(record.payload.data() == request.write->bytes.bytes().data() + (offset - 1024));
        offset += record.length;
    }
    CHECK(offset == 1024 + 2 * mib + 512);
    CHECK(outgoing.kept.size() == 1);
}

TEST_CASE("rule: all else travels as it is, in order") {
    for (const PayloadMode mode : {PayloadMode::by_reference, PayloadMode::by_value}) {
        RuleBench bench;
        bench.add(BlockOp::flush, 0, 0);
        bench.add(BlockOp::discard, 512, 1 * gib);
        bench.add(BlockOp::write_zeroes, 1024, 512).may_unmap = true;
        bench.add(BlockOp::write, 4096, 512).failed = true;
        bench.write({{page(3), 512}}, 1);
        const OutgoingRecords outgoing = bench.apply_rule(mode);
        REQUIRE(outgoing.records.size() == 5);
        for (std::size_t i = 0; i < 5; ++i)
            CHECK(outgoing.records[i].sequence == i + 1);
        CHECK(outgoing.records[1].length == 1 * gib);
        CHECK(outgoing.records[2].may_unmap);
        CHECK(outgoing.records[3].failed);
        CHECK_FALSE(outgoing.records[3].by_value);
        CHECK(outgoing.records[4].by_value == (mode == PayloadMode::by_value));
    }
}

TEST_CASE("rule: what travels is counted") {
    RuleBench bench;
    bench.write({{page(3), 512}}, 7);
    bench.write({{page(4), 1024}}, 8);
    bench.staged[4] = filled_with(1);
    bench.read(8192, {{10, 1}, {11, 2}});
    bench.staged.emplace(10, filled_with(1));
    bench.staged.emplace(11, filled_with(3));
    bench.add(BlockOp::flush, 0, 0);
    const BlockCounts counts = count(bench.apply_rule());
    CHECK(counts.records == 4);
    CHECK(counts.referred_bytes == 512);
    CHECK(counts.sent_bytes == 1024);
    CHECK(counts.read_bytes == page_size);
    const BlockCounts all_sent = count(bench.apply_rule(PayloadMode::by_value));
    CHECK(all_sent.referred_bytes == 0);
    CHECK(all_sent.sent_bytes == 1536);
}
