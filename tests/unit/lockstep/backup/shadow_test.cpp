// SPDX-License-Identifier: Apache-2.0
// The backup's copy: verify mode. (Whole epochs, bounds and order: the simulation and the fuzzing.)
#include "lockstep/backup/shadow.h"

#include <array>
#include <catch2/catch.hpp>

#include "base/digest.h"
#include "support/backup_bench.h"
#include "support/death.h"

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

constexpr std::uint64_t pages = 3;
const std::vector<std::uint8_t> state_image{1, 2, 3};

class PlainRam : public ShadowRam {
  public:
    std::uint64_t page_count() const override { return pages; }
    std::span<std::uint8_t, page_size> page(PageIndex index) override { return bytes_[index]; }

  private:
    alignas(page_size) std::array<std::array<std::uint8_t, page_size>, pages> bytes_{};
};

Frame make_frame(FrameType type, const Body& body) {
    return {type, Buffer(body.begin(), body.end()), digest_of(body)};
}

// The first epoch, with digests of all pages.
Result<void> commit_and_apply(PlainRam& ram, const std::vector<std::uint64_t>& digests,
                              std::uint64_t state_digest = digest_of(state_image)) {
    Shadow shadow(ram);
    const StateMessage state{1, StateEncoding::whole, state_image};
    REQUIRE(shadow.stage_state(make_frame(FrameType::state, state.encode()), {}).ok());
    DigestsMessage message{1, 0, digests};
    message.digests.push_back(state_digest);
    REQUIRE(shadow.stage_digests(make_frame(FrameType::digests, message.encode())).ok());
    CommitMessage commit;
    commit.epoch = 1;
    REQUIRE(shadow.commit(commit).ok());
    return shadow.apply();
}

}  // namespace

TEST_CASE("shadow: verify mode finds the first page that differs", "[shadow]") {
    PlainRam ram;
    ram.page(1)[100] = 7;
    ram.page(2)[0] = 9;
    const std::vector<std::uint64_t> right{digest_of(ram.page(0)), digest_of(ram.page(1)),
                                           digest_of(ram.page(2))};
    CHECK(commit_and_apply(ram, right).ok());
    const Result<void> other_state = commit_and_apply(ram, right, 5);
    REQUIRE_FALSE(other_state.ok());
    CHECK(other_state.error().message().find("state") != std::string::npos);
    ram.page(1)[101] = 1;
    const Result<void> differs = commit_and_apply(ram, right);
    REQUIRE_FALSE(differs.ok());
    CHECK(differs.error().message().find("page 1") != std::string::npos);
}

TEST_CASE("shadow: the first epoch brings what the primary had not shown yet", "[shadow]") {
    PlainRam ram;
    Shadow shadow(ram);
    const StateMessage state{1, StateEncoding::whole, state_image};
    REQUIRE(shadow.stage_state(make_frame(FrameType::state, state.encode()), {}).ok());
    const std::vector<std::uint8_t> text{'a', 'b', 'c', 'd'};
    const OutputMessage output{1, 1000, text};
    REQUIRE(shadow.stage_output(make_frame(FrameType::output, output.encode())).ok());
    CommitMessage commit;
    commit.epoch = 1;
    commit.output_end = 1005;
    CHECK_FALSE(shadow.commit(commit).ok());  // a byte is missing
    commit.output_end = 1004;
    commit.output_shown = 1001;
    REQUIRE(shadow.commit(commit).ok());
    CHECK(shadow.tail().position == 1001);
    CHECK(shadow.tail().bytes == std::vector<std::uint8_t>{'b', 'c', 'd'});
}

TEST_CASE("shadow: bodies without pages are refused, they would grow without bound", "[shadow]") {
    PlainRam ram;
    Shadow shadow(ram);
    CHECK_FALSE(shadow.stage_pages(make_frame(FrameType::pages, begin_pages_body(1))).ok());
}

TEST_CASE("shadow: pages that were not settled at the cut are not compared", "[shadow]") {
    PlainRam ram;
    std::vector<std::uint64_t> digests{digest_of(ram.page(0)), DigestsMessage::not_compared,
                                       digest_of(ram.page(2))};
    ram.page(1)[5] = 5;
    CHECK(commit_and_apply(ram, digests).ok());
    ram.page(2)[5] = 5;
    CHECK_FALSE(commit_and_apply(ram, digests).ok());
}

TEST_CASE("shadow: an epoch is applied before the next is committed, and only once") {
    PlainRam ram;
    Shadow shadow(ram);
    const StateMessage state{1, StateEncoding::whole, state_image};
    REQUIRE(shadow.stage_state(make_frame(FrameType::state, state.encode()), {}).ok());
    CHECK(shadow.is_applied());
    CHECK(test::aborts([&shadow] { static_cast<void>(shadow.apply()); }));
    CommitMessage commit;
    commit.epoch = 1;
    REQUIRE(shadow.commit(commit).ok());
    CHECK_FALSE(shadow.is_applied());
    commit.epoch = 2;
    CHECK(test::aborts([&] { static_cast<void>(shadow.commit(commit)); }));
    REQUIRE(shadow.apply().ok());
    CHECK(shadow.is_applied());
}

TEST_CASE("shadow: a disk's serial belongs to its epoch, and needs disks") {
    PlainRam ram;
    const Frame serial = make_frame(FrameType::disk_serial, replay::SerialMessage{0, 3}.encode());
    Shadow without(ram);
    CHECK_FALSE(without.stage_disk_serial(serial).ok());

    std::vector<std::string> events;
    test::BenchDisks disks(events);
    Shadow shadow(ram, &disks);
    const auto stage_state = [&shadow](EpochId epoch) {
        const StateMessage state{epoch, StateEncoding::whole, state_image};
        const Frame frame = make_frame(FrameType::state, state.encode());
        REQUIRE(shadow.stage_state(frame, {}).ok());
        return frame.digest;
    };
    static_cast<void>(stage_state(1));
    CommitMessage commit;
    commit.epoch = 1;
    REQUIRE(shadow.commit(commit).ok());
    REQUIRE(shadow.apply().ok());

    REQUIRE(shadow.stage_disk_serial(serial).ok());
    const std::uint64_t state_digest = stage_state(2);
    commit.epoch = 2;
    commit.digest = chain_digest(0, state_digest);
    CHECK_FALSE(shadow.commit(commit).ok());  // a message is missing
    commit.digest = chain_digest(chain_digest(0, serial.digest), state_digest);
    CHECK(shadow.commit(commit).ok());
}
