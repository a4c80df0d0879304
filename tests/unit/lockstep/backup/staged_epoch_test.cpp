// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/staged_epoch.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

constexpr std::uint64_t page_count = 4;

ReceivedPages pages_of(std::size_t records) {
    return {{}, records};
}

ReceivedState some_state() {
    return {{1, 2, 3}, {}};
}

// Output at byte 10, which follows what was committed.
OutputMessage output_at(std::uint64_t position, std::size_t bytes = 2) {
    return {2, position, std::vector<std::uint8_t>(bytes, 'x')};
}

struct Epoch : StagedEpoch {
    Epoch() : StagedEpoch(page_count) {}
    CommitMessage commit{.epoch = 2, .output_end = 10};
    std::string missing(std::optional<std::uint64_t> output_begin = 10) const {
        const Result<void> whole = check_whole(commit, output_begin);
        return whole.ok() ? "" : whole.error().message();
    }
};

}  // namespace

TEST_CASE("staged epoch: it is whole when its commit says what has come") {
    Epoch epoch;
    CHECK(epoch.missing() == "epoch 2 has no state");
    REQUIRE(epoch.add(some_state()).ok());
    CHECK(epoch.missing() == "");
    REQUIRE(epoch.add(pages_of(3)).ok());
    CHECK(epoch.missing() == "epoch 2 is not whole");
    epoch.commit.page_records = 3;
    CHECK(epoch.missing() == "");
    epoch.account(77);
    CHECK(epoch.missing() == "epoch 2 is not whole");
    epoch.commit.digest = chain_digest(0, 77);
    CHECK(epoch.missing() == "");
}

TEST_CASE("staged epoch: the initial copy is not compared, and its output begins anywhere") {
    Epoch epoch;
    REQUIRE(epoch.add(some_state()).ok());
    epoch.account(77);
    CHECK(epoch.missing(std::nullopt) == "");
    REQUIRE(epoch.add(output_at(8), 0, 100).ok());
    CHECK(epoch.missing(std::nullopt) == "");
    epoch.commit.output_end = 11;
    CHECK(epoch.missing(std::nullopt) == "the console output of epoch 2 does not fit");
}

TEST_CASE("staged epoch: output follows what was committed, without a gap") {
    Epoch epoch;
    REQUIRE(epoch.add(some_state()).ok());
    SECTION("from the first byte to the last") {
        REQUIRE(epoch.add(output_at(10), 0, 100).ok());
        CHECK_FALSE(epoch.add(output_at(13), 0, 100).ok());
        REQUIRE(epoch.add(output_at(12), 0, 100).ok());
        epoch.commit.output_end = 14;
        CHECK(epoch.missing() == "");
    }
    SECTION("but not behind what was committed") {
        REQUIRE(epoch.add(output_at(11), 0, 100).ok());
        epoch.commit.output_end = 13;
        CHECK(epoch.missing() == "the console output of epoch 2 does not fit");
    }
    SECTION("or it is missing") {
        epoch.commit.output_end = 12;
        CHECK(epoch.missing() == "the console output of epoch 2 does not fit");
    }
}

TEST_CASE("staged epoch: what is too much is refused, and not taken") {
    Epoch epoch;
    REQUIRE(epoch.add(pages_of(3)).ok());
    CHECK_FALSE(epoch.add(pages_of(2)).ok());
    REQUIRE(epoch.add(pages_of(1)).ok());
    CHECK(epoch.pages().size() == 2);
    REQUIRE(epoch.add(some_state()).ok());
    CHECK_FALSE(epoch.add(some_state()).ok());
    REQUIRE(epoch.add(output_at(10, 5), 4, 10).ok());
    CHECK_FALSE(epoch.add(output_at(15, 2), 4, 10).ok());
    CHECK(epoch.output().bytes.size() == 5);
}

TEST_CASE("staged epoch: a block log's limit counts what is held, and not what was sent") {
    const auto body_of = [](std::size_t size, std::size_t capacity) {
        ReceivedLog log;
        log.body.reserve(capacity);
        log.body.resize(size);
        return log;
    };
    constexpr std::size_t limit = StagedEpoch::block_log_bytes_max;
    SECTION("room that a body has beyond its bytes") {
        Epoch epoch;
        CHECK(epoch.add(body_of(100, limit / 2)).ok());
        CHECK_FALSE(epoch.add(body_of(100, limit / 2)).ok());
        CHECK(epoch.logs().size() == 1);
    }
    SECTION("what many small bodies cost beside their bytes") {
        constexpr std::size_t flush_body = 8 + 37;
        Epoch epoch;
        std::size_t count = 0;
        while (epoch.add(body_of(flush_body, flush_body)).ok())
            ++count;
        CHECK(count * (flush_body + sizeof(ReceivedLog)) <= limit);
        CHECK(count < limit / flush_body / 2);
    }
}

TEST_CASE("staged epoch: a state without an image is refused") {
    Epoch epoch;
    CHECK_FALSE(epoch.add(ReceivedState{}).ok());
    CHECK_FALSE(epoch.state());
}

TEST_CASE("staged epoch: digests are in order, and of all pages or of none") {
    Epoch epoch;
    REQUIRE(epoch.add(some_state()).ok());
    REQUIRE(epoch.add(DigestsMessage{2, 0, {1, 2}}).ok());
    CHECK(epoch.missing() == "epoch 2 has digests of some pages only");
    CHECK_FALSE(epoch.add(DigestsMessage{2, 1, {3}}).ok());
    CHECK_FALSE(epoch.add(DigestsMessage{2, 2, {3, 4, 5, 6}}).ok());
    REQUIRE(epoch.add(DigestsMessage{2, 2, {3, 4, 5}}).ok());
    CHECK(epoch.missing() == "");
}
