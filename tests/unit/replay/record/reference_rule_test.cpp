// SPDX-License-Identifier: Apache-2.0
#include "replay/record/reference_rule.h"

#include <catch2/catch.hpp>
#include <map>

#include "base/digest.h"
#include "support/guest_ram.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

namespace {

GuestAddress page(std::uint64_t number) {
    return GuestAddress(number * page_size);
}
Bytes filled_with(std::uint8_t value) {
    return Bytes(page_size, value);
}

// An epoch as a log would have it. Pages are filled with one value each, and so are payloads.
class Bench : public CutPages {
  public:
    const std::uint8_t* find(PageIndex index) const override {
        const auto found = staged.find(index);
        return found == staged.end() ? nullptr : found->second.data();
    }
    std::shared_ptr<WritePayload> payload(const Segments& segments, std::uint8_t value) {
        auto write = std::make_shared<WritePayload>();
        write->bytes = std::move(*budget->take(total_length(segments)));
        std::ranges::fill(write->bytes.bytes(), value);
        write->segments = segments;
        return write;
    }
    std::shared_ptr<WritePayload> write(const Segments& segments, std::uint8_t value) {
        LoggedRequest& request = add(BlockOp::write, 0, total_length(segments));
        return request.write = payload(segments, value);
    }
    // Of these pages, one after the other, each with its value. 0: not a whole page.
    void read(std::uint64_t offset, const std::vector<std::pair<PageIndex, std::uint8_t>>& pages) {
        LoggedRequest& request = add(BlockOp::read, offset, pages.size() * page_size);
        for (std::size_t i = 0; i < pages.size(); ++i) {
            if (pages[i].second == 0) continue;
            request.filled.push_back(
                {pages[i].first, i * page_size, digest_of(filled_with(pages[i].second))});
        }
    }
    LoggedRequest& add(BlockOp op, std::uint64_t offset, std::uint64_t length) {
        LoggedRequest& request = epoch.completed.emplace_back();
        request.sequence = ++sequence;
        request.disk = 2;
        request.op = op;
        request.offset = offset;
        request.length = length;
        return request;
    }
    OutgoingRecords apply_rule(PayloadMode mode = PayloadMode::by_reference) {
        return replay::apply_reference_rule(epoch, ram.memory(), *this, mode);
    }
    // How the only write of the epoch travels.
    bool is_by_reference() {
        const OutgoingRecords outgoing = apply_rule();
        for (const BlockRecord& record : outgoing.records) {
            if (record.op == BlockOp::write) return !record.by_value;
        }
        FAIL("there is no write");
        return false;
    }
    void next_epoch() {
        epoch = {};
        staged.clear();
    }

    GuestRam ram{256 * kib};
    std::shared_ptr<PayloadBudget> budget = std::make_shared<PayloadBudget>(64 * mib);
    BlockLog::Epoch epoch;
    std::map<PageIndex, Bytes> staged;
    std::uint64_t sequence = 0;
};

std::uint64_t digest_of_pages(const std::vector<std::uint8_t>& values) {
    ByteWriter digests;
    for (const std::uint8_t value : values)
        digests.u64(digest_of(filled_with(value)));
    return digest_of(digests.bytes());
}

}  // namespace

TEST_CASE("rule: a write whose pages did not change since its payload was taken") {
    Bench bench;
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
    Bench bench;
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
        Bench bench;
        bench.write({{page(3) + 4000, 1024}, {page(6) + 7, 1024}}, 7);
        bench.staged[changed] = filled_with(1);
        CHECK_FALSE(bench.is_by_reference());
    }
}

TEST_CASE("rule: a write in flight at a cut is compared with what that cut left") {
    Bench bench;
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

TEST_CASE("rule: a page that still holds what a read put there does not travel") {
    Bench bench;
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
    Bench bench;
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
    Bench bench;
    bench.read(0, {{10, 1}});
    bench.staged[10] = filled_with(9);
    CHECK(bench.apply_rule().records.empty());
    CHECK(bench.apply_rule().filled.empty());
}

TEST_CASE("rule: the last read into a page counts, whatever others hold the same") {
    Bench bench;
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
    Bench bench;
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
    Bench bench;
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
    Bench bench;
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

TEST_CASE("rule: a long payload by value becomes several records that make it up") {
    Bench bench;
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
        Bench bench;
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
    Bench bench;
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

TEST_CASE("rule: in an epoch log a read is there to be verified, page by page") {
    Bench bench;
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
