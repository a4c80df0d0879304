// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/verification.h"

#include <catch2/catch.hpp>

#include "support/memory_blocks.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;
using Kind = VerifyOutcome::Kind;

namespace {

constexpr std::uint64_t disk_bytes = 5 * replay::disk_block_bytes;

Verification::TimePoint verification_time(std::chrono::milliseconds time) {
    return Verification::TimePoint(1000s) + time;
}

struct Disk {
    Disk() { map->take_touched(); }
    static std::unique_ptr<replay::DirtyBlockMap> make_map() {
        replay::DiskLabel label;
        label.image_bytes = disk_bytes;
        return replay::DirtyBlockMap::unsaved(label).value();
    }
    std::unique_ptr<replay::DirtyBlockMap> map = make_map();
    MemoryBlocks image{disk_bytes};
    replay::Scrubber scrubber{{{map.get(), &image}}, 1 * gib, 1, verification_time(0ms)};
};

Frame checked(std::uint64_t number) {
    const Body body = replay::CheckedMessage{number}.encode();
    return {FrameType::disk_checked, Buffer(body.begin(), body.end()), 0};
}

// Sends and answers all checks that are due.
void compare_disks(Verification& verification, std::chrono::milliseconds now) {
    for (OutgoingMessage message = verification.next(3, verification_time(now)).value();
         !message.empty(); message = verification.next(3, verification_time(now)).value()) {
        REQUIRE(message.type == FrameType::disk_check);
        const auto check = replay::CheckMessage::decode(message.body.flat()).value();
        CHECK(check.epoch == 3);
        REQUIRE(verification.checked(checked(check.number), verification_time(now)).ok());
    }
}

}  // namespace

TEST_CASE("verification: memory is equal when a later epoch is acknowledged", "[verify]") {
    Verification memory(nullptr, 4, 10s, verification_time(0ms));
    CHECK(memory.next(3, verification_time(1ms)).value().empty());
    memory.acknowledged(3, verification_time(1ms));
    memory.acknowledged(4, verification_time(2ms));  // before it is applied
    CHECK_FALSE(memory.outcome(verification_time(2ms)));
    memory.acknowledged(5, verification_time(3ms));
    REQUIRE(memory.outcome(verification_time(3ms)));
    CHECK(memory.outcome(verification_time(3ms))->kind == Kind::equal);
    CHECK(memory.outcome(verification_time(3ms))->text ==
          "equal: memory (0.0 s); no disks were compared");
}

TEST_CASE("verification: both must be equal", "[verify]") {
    Disk disk;
    Verification both(&disk.scrubber, 4, 10s, verification_time(0ms));
    compare_disks(both, 10ms);
    CHECK_FALSE(both.outcome(verification_time(10ms)));
    CHECK(both.progress().bytes_equal == disk_bytes);
    both.acknowledged(5, verification_time(200ms));
    REQUIRE(both.outcome(verification_time(200ms)));
    CHECK(both.outcome(verification_time(200ms))->text ==
          "equal: memory and 0.3 MiB of disks (0.2 s)");
}

TEST_CASE("verification: patience ends, and what it waited for is told", "[verify]") {
    const auto told = [](const Verification& verification, std::chrono::milliseconds now) {
        CHECK(verification.due() <= verification_time(now));
        CHECK_FALSE(verification.outcome(verification_time(now - 1ms)));
        const auto outcome = verification.outcome(verification_time(now));
        REQUIRE(outcome);
        CHECK(outcome->kind == Kind::unfinished);
        return outcome->text;
    };
    Verification memory(nullptr, 4, 10s, verification_time(0ms));
    CHECK(told(memory, 10s).find("no epoch") == 0);

    Disk silent;
    Verification unanswered(&silent.scrubber, 0, 10s, verification_time(0ms));
    CHECK_FALSE(unanswered.next(3, verification_time(1ms)).value().empty());
    CHECK(told(unanswered, 10s).find("the backup has not answered") == 0);

    Disk busy;
    REQUIRE(busy.map->mark(0, 512).ok());  // never settles
    Verification disks(&busy.scrubber, 0, 10s, verification_time(0ms));
    compare_disks(disks, 100ms);
    CHECK(told(disks, 10100ms).find("1 blocks of 64 KiB are written all the time") == 0);
}

TEST_CASE("verification: lies and late answers of the backup", "[verify]") {
    Disk disk;
    Verification verification(&disk.scrubber, 0, 10s, verification_time(0ms));
    CHECK(verification.checked(checked(0), verification_time(1ms)).ok());  // to one before
    CHECK_FALSE(verification.checked(checked(1), verification_time(1ms)).ok());
    CHECK_FALSE(
        verification.checked(Frame{FrameType::disk_checked, Buffer(3), 0}, verification_time(1ms))
            .ok());
    Verification memory(nullptr, 4, 10s, verification_time(0ms));
    CHECK(memory.checked(checked(7), verification_time(1ms)).ok());
}

TEST_CASE("verification: a disk that cannot be read here is an error", "[verify]") {
    Disk disk;
    disk.image.unreadable = 2;
    Verification verification(&disk.scrubber, 0, 10s, verification_time(0ms));
    CHECK_FALSE(verification.next(3, verification_time(0ms)).ok());
}
