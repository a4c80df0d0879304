// SPDX-License-Identifier: Apache-2.0
// What the rule leaves of reads, and of writes from pages that a read has filled.
#include "replay/record/reference_rule.h"

#include <catch2/catch.hpp>

#include "support/rule_bench.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

TEST_CASE("rule: a page that still holds what a read put there does not travel") {
    RuleBench bench;
    bench.read(8192, {{10, 1}, {11, 2}, {20, 3}});
    bench.staged = {{10, filled_with(1)}, {11, filled_with(2)}, {20, filled_with(3)}};
    const OutgoingRecords outgoing = bench.apply_rule();
    CHECK(outgoing.filled == std::vector<PageIndex>{10, 11, 20});
    REQUIRE(outgoing.records.size() == 1);
    const BlockRecord& record = outgoing.records[0];
    CHECK(record.op == BlockOp::read);
    CHECK(record.offset == 8192);
    CHECK(record.length == 3 * page_size);
    REQUIRE(record.segments.size() == 2);
    CHECK(record.segments[0].address == page(10));
    CHECK(record.segments[0].length == 2 * page_size);
    CHECK(record.segments[1].address == page(20));
    CHECK(record.digest == digest_of_pages({1, 2, 3}));
}

TEST_CASE("rule: pages that changed again leave gaps in their read") {
    RuleBench bench;
    bench.read(0, {{10, 1}, {11, 2}, {12, 3}, {13, 0}, {14, 5}});
    for (const PageIndex index : {10U, 11U, 12U, 13U, 14U})
        bench.staged[index] = filled_with(static_cast<std::uint8_t>(index - 9));
    bench.staged[11] = filled_with(9);
    const OutgoingRecords outgoing = bench.apply_rule();
    CHECK(outgoing.filled == std::vector<PageIndex>{10, 12, 14});
    REQUIRE(outgoing.records.size() == 3);
    CHECK(outgoing.records[0].offset == 0);
    CHECK(outgoing.records[1].offset == 2 * page_size);
    CHECK(outgoing.records[1].segments[0].address == page(12));
    CHECK(outgoing.records[1].digest == digest_of_pages({3}));
    CHECK(outgoing.records[2].offset == 4 * page_size);
    CHECK(outgoing.records[2].sequence == 1);
}

TEST_CASE("rule: a read of which nothing is left is not sent") {
    RuleBench bench;
    bench.read(0, {{10, 1}});
    bench.staged[10] = filled_with(9);
    CHECK(bench.apply_rule().records.empty());
    CHECK(bench.apply_rule().filled.empty());
}

TEST_CASE("rule: the last read into a page counts, whatever others hold the same") {
    RuleBench bench;
    SECTION("in other requests") {
        bench.read(0, {{10, 1}});
        bench.read(4096, {{10, 1}});
        bench.staged[10] = filled_with(1);
        REQUIRE(bench.apply_rule().records.size() == 1);
        CHECK(bench.apply_rule().records[0].sequence == 2);
    }
    SECTION("in the same request") {
        bench.read(0, {{10, 2}, {11, 3}, {10, 1}});
        bench.staged = {{10, filled_with(1)}, {11, filled_with(3)}};
        REQUIRE(bench.apply_rule().records.size() == 1);
        CHECK(bench.apply_rule().records[0].offset == 4096);
        CHECK(bench.apply_rule().records[0].digest == digest_of_pages({3, 1}));
    }
    SECTION("even if it has been overwritten with what an earlier one read") {
        bench.read(0, {{10, 1}});
        bench.read(4096, {{10, 2}});
        bench.staged[10] = filled_with(1);
        CHECK(bench.apply_rule().records.empty());
    }
}

TEST_CASE("rule: a page that only reads have changed is not staged, and is filled") {
    RuleBench bench;
    bench.read(0, {{10, 1}, {11, 2}});
    bench.read(8192, {{10, 3}});
    const OutgoingRecords outgoing = bench.apply_rule();
    CHECK(outgoing.filled == std::vector<PageIndex>{10, 11});
    REQUIRE(outgoing.records.size() == 2);
    CHECK(outgoing.records[0].offset == page_size);
    CHECK(outgoing.records[0].digest == digest_of_pages({2}));
    CHECK(outgoing.records[1].offset == 8192);
}

TEST_CASE("rule: a write from a page that only reads have changed must be taken after the last") {
    RuleBench bench;
    const auto taken = [&bench] {
        auto write = bench.payload({{page(10) + 512, 512}}, 1);
        write->taken_after = bench.sequence;
        return write;
    };
    const auto complete = [&bench](std::shared_ptr<WritePayload> write) {
        bench.add(BlockOp::write, 0, 512).write = std::move(write);
    };
    SECTION("it was") {
        bench.read(0, {{10, 1}});
        complete(taken());
        CHECK(bench.is_by_reference());
    }
    SECTION("it was not, although it was complete only after the read") {
        const auto write = taken();
        bench.read(0, {{10, 1}});
        complete(write);
        CHECK_FALSE(bench.is_by_reference());
    }
    SECTION("it was taken between two reads") {
        bench.read(0, {{10, 1}});
        const auto write = taken();
        bench.read(4096, {{10, 1}});
        complete(write);
        CHECK_FALSE(bench.is_by_reference());
    }
    SECTION("it was in flight at the cut, and the page was filled again after that") {
        bench.read(0, {{10, 1}});
        const auto write = taken();
        bench.epoch.in_flight = {write};
        bench.apply_rule();
        CHECK(write->matched == std::vector<bool>{true});
        bench.next_epoch();
        bench.read(4096, {{10, 1}});
        complete(write);
        CHECK_FALSE(bench.is_by_reference());
    }
    SECTION("it was in flight at the cut, and the page has not changed since") {
        bench.read(0, {{10, 1}});
        const auto write = taken();
        bench.epoch.in_flight = {write};
        bench.apply_rule();
        bench.next_epoch();
        complete(write);
        CHECK(bench.is_by_reference());
    }
}

TEST_CASE("rule: a write from a filled page must come after the read") {
    RuleBench bench;
    bench.staged[10] = filled_with(1);
    SECTION("it does") {
        bench.read(0, {{10, 1}});
        bench.write({{page(10) + 512, 512}}, 1);
        CHECK(bench.is_by_reference());
    }
    SECTION("it does not, although the bytes are the same") {
        bench.write({{page(10) + 512, 512}}, 1);
        bench.read(0, {{10, 1}});
        CHECK_FALSE(bench.is_by_reference());
    }
    SECTION("it does not, but the page travels") {
        bench.write({{page(10) + 512, 512}}, 1);
        bench.read(0, {{10, 2}});
        CHECK(bench.is_by_reference());
    }
}

TEST_CASE("rule: in an epoch log a read is there to be verified, page by page") {
    RuleBench bench;
    bench.read(0, {{10, 1}, {11, 2}, {11, 0}, {12, 3}});
    const OutgoingRecords outgoing = by_value(bench.epoch.completed);
    REQUIRE(outgoing.records.size() == 3);
    for (const BlockRecord& record : outgoing.records) {
        CHECK(record.segments.empty());
        CHECK(record.length == page_size);
    }
    CHECK(outgoing.records[1].offset == 1 * page_size);
    CHECK(outgoing.records[2].offset == 3 * page_size);
    CHECK(outgoing.records[1].digest == digest_of_pages({2}));
    CHECK(outgoing.filled.empty());
}
