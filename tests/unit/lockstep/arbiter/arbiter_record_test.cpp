// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/arbiter_record.h"

#include <catch2/catch.hpp>
#include <limits>
#include <string>

using namespace fmvm::lockstep;

namespace {

const std::string good_record =
    "fmvm-arbiter 1 claim\n"
    "vm 00112233445566778899aabbccddeeff\n"
    "generation 7\n"
    "side alpha\n"
    "time 1795370000\n";

std::string with(std::string_view line, std::string_view instead) {
    std::string text = good_record;
    return text.replace(text.find(line), line.size(), instead);
}

bool is_refused(const std::string& text) {
    return !ArbiterRecord::parse(text);
}

}  // namespace

TEST_CASE("arbiter record: what was read is what was written", "[arbiter]") {
    const ArbiterRecord claim = ArbiterRecord::parse(good_record).value();
    CHECK(claim.kind == ArbiterRecord::Kind::claim);
    CHECK(claim.vm[1] == 0x11);
    CHECK(claim.vm[15] == 0xff);
    CHECK(claim.generation == 7);
    CHECK(claim.side == "alpha");
    CHECK(claim.time == 1'795'370'000);
    CHECK(claim.text() == good_record);
    const ArbiterRecord ended = ArbiterRecord::parse(with("claim", "ended")).value();
    CHECK(ended.kind == ArbiterRecord::Kind::ended);
    CHECK(ended.generation == 7);
}

TEST_CASE("arbiter record: a file that was cut anywhere is none", "[arbiter]") {
    for (std::size_t size = 0; size < good_record.size(); ++size) {
        CAPTURE(size);
        CHECK(is_refused(good_record.substr(0, size)));
    }
}

TEST_CASE("arbiter record: only one spelling of a record is one", "[arbiter]") {
    CHECK(is_refused(good_record + "\n"));
    CHECK(is_refused(good_record + good_record));
    CHECK(is_refused(with("claim", "lease")));
    CHECK(is_refused(with("arbiter 1", "arbiter 2")));
    CHECK(is_refused(with("aabb", "AABB")));
    CHECK(is_refused(with("aabb", "aab")));
    CHECK(is_refused(with("aabb", "aagg")));
    CHECK(is_refused(with("generation 7", "generation 07")));
    CHECK(is_refused(with("generation 7", "generation -7")));
    CHECK(is_refused(with("generation 7", "generation 18446744073709551616")));
    CHECK(is_refused(with("generation 7", "generation")));
    CHECK(is_refused(with("time 1795370000", "time 1795370000.0")));
    CHECK(is_refused(with("time 1795370000", "time  1795370000")));
    CHECK(is_refused(with("side alpha\n", "")));
}

TEST_CASE("arbiter record: a side is one short line that people can read", "[arbiter]") {
    CHECK(ArbiterRecord::is_valid_side("host a, rack 3"));
    CHECK(ArbiterRecord::is_valid_side(std::string(ArbiterRecord::side_bytes_max, 'x')));
    for (const std::string& side :
         {std::string(), std::string(ArbiterRecord::side_bytes_max + 1, 'x'),
          std::string("a\x1b[2J"), std::string("a\tb"), std::string("h\xc3\xb6st")}) {
        CAPTURE(side);
        CHECK_FALSE(ArbiterRecord::is_valid_side(side));
        CHECK(is_refused(with("alpha", side)));
    }
}

TEST_CASE("arbiter record: the longest fits what the arbiter reads", "[arbiter]") {
    ArbiterRecord record;
    record.generation = ~Generation{0};
    record.side = std::string(ArbiterRecord::side_bytes_max, 'x');
    record.time = std::numeric_limits<std::int64_t>::min();
    CHECK(record.text().size() <= ArbiterRecord::bytes_max);
    CHECK(ArbiterRecord::parse(record.text()) == record);
}
