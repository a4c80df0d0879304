// SPDX-License-Identifier: Apache-2.0
// A backup's disks: comparing them with what the primary says. (Making them equal: replay_resync;
// replay: replay_replayer.)
#include "lockstep/disks/standby_disks.h"

#include <array>
#include <catch2/catch.hpp>
#include <thread>

#include "base/digest.h"
#include "support/death.h"
#include "support/faulty_backend.h"
#include "support/guest_ram.h"
#include "support/memory_blocks.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

constexpr std::chrono::milliseconds answer_limit{20};
constexpr std::uint64_t disk_bytes = 3 * replay::disk_block_bytes - 512;

struct Backup {
    explicit Backup(bool discards = false) {
        replay::DiskLabel label;
        label.image_bytes = disk_bytes;
        label.pair[0] = 1;
        label.role = replay::DiskRole::following;
        map = replay::DirtyBlockMap::unsaved(label).value();
        auto blocks = std::make_unique<MemoryBlocks>(disk_bytes);
        image = blocks.get();
        std::vector<StandbyDisks::Disk> list;
        list.push_back({"b.img", &backend, map.get(), std::move(blocks), {}, discards});
        disks.emplace(ram.memory(), std::move(list), VmId{}, 1, answer_limit);
    }
    // What a primary says whose disk is the same.
    replay::CheckMessage check(std::initializer_list<replay::BlockIndex> blocks) const {
        replay::CheckMessage message{1, 1, 0, {}};
        for (const replay::BlockIndex block : blocks) {
            const std::uint64_t size = replay::bytes_of_block(block, disk_bytes);
            message.blocks.push_back({block, digest_of(std::span(&*image->at(block), size))});
        }
        return message;
    }

    // The disks are made equal: there is nothing to compare.
    void begin() {
        replay::BeginMessage message;
        message.image_bytes = disk_bytes;
        message.pair[0] = 2;
        message.blocks = replay::PackedBlocks::pack(replay::BlockSet(3));
        Frame frame;
        frame.type = FrameType::disk_begin;
        const std::vector<std::uint8_t> body = message.encode();
        frame.body.assign(body.begin(), body.end());
        REQUIRE(disks->message(frame).ok());
        REQUIRE(disks->equal());
        REQUIRE(disks->follow().ok());
    }
    // An epoch that holds nothing but a flush.
    Result<void> replay_flush() {
        replay::BlockRecord flush;
        flush.op = BlockOp::flush;
        return disks->replay(std::span(&flush, 1));
    }

    GuestRam ram;
    FaultyBackend backend{
        std::make_unique<MemoryBackend>(std::make_shared<std::vector<std::uint8_t>>(disk_bytes))};
    std::unique_ptr<replay::DirtyBlockMap> map;
    MemoryBlocks* image = nullptr;
    std::optional<StandbyDisks> disks;
};

}  // namespace

TEST_CASE("standby disks: what is equal stays trusted, the last and shorter block too") {
    Backup backup;
    CHECK(backup.disks->check(backup.check({2, 0, 1})).ok());
    CHECK(backup.disks->compare(backup.check({2, 0, 1})).ok());
    CHECK(backup.map->label().role == replay::DiskRole::following);
    CHECK(backup.map->label().pair[0] == 1);
}

TEST_CASE("standby disks: one byte that differs is named, and nothing is trusted any more") {
    Backup backup;
    const replay::CheckMessage said = backup.check({0, 2});
    *backup.image->at(2) ^= 1;
    const Result<void> compared = backup.disks->compare(said);
    REQUIRE_FALSE(compared.ok());
    CHECK(compared.error().message() ==
          "verify: disk b.img differs from the primary's within the 65024 bytes from 131072 on");
    CHECK(backup.map->label().role == replay::DiskRole::syncing);
    CHECK(backup.map->label().pair != replay::LabelId{1});
    CHECK(backup.map->dirty().size() == 3);
}

TEST_CASE("standby disks: a disk that cannot be read is not known to be equal") {
    Backup backup;
    backup.image->unreadable = 1;
    CHECK_FALSE(backup.disks->compare(backup.check({0, 1})).ok());
    CHECK(backup.map->label().role == replay::DiskRole::syncing);
}

TEST_CASE("standby disks: a check of what there is not is refused, and changes no trust") {
    Backup backup;
    replay::CheckMessage message = backup.check({0});
    message.disk = 1;
    CHECK_FALSE(backup.disks->check(message).ok());
    message = backup.check({0});
    message.blocks.push_back({3, 0});
    CHECK_FALSE(backup.disks->check(message).ok());
    message.blocks.back().block = UINT64_MAX;
    CHECK_FALSE(backup.disks->check(message).ok());
    CHECK(backup.map->label().role == replay::DiskRole::following);
}

TEST_CASE("standby disks: an image that may be lost is a stranger's to the primary") {
    for (const bool discards : {false, true}) {
        Backup backup(discards);
        const std::vector<OutgoingMessage> known = backup.disks->known();
        REQUIRE(known.size() == 1);
        const auto message = replay::KnownMessage::decode(known.front().body.flat()).value();
        CHECK((message.pair == replay::LabelId{}) == discards);
    }
}

TEST_CASE("standby disks: nothing changes on a disk before its label says so") {
    Backup backup;
    const std::vector<std::uint8_t> payload(512, 0x77);
    replay::BlockRecord write;
    write.op = BlockOp::write;
    write.by_value = true;
    write.length = payload.size();
    write.payload = payload;
    write.digest = digest_of(payload);
    CHECK_FALSE(backup.disks->replay(std::span(&write, 1)).ok());
    CHECK(backup.map->label().role == replay::DiskRole::following);
}

TEST_CASE("standby disks: after a flush that failed nothing is trusted, whenever it is known") {
    Backup backup;
    backup.begin();
    backup.backend.judge([](const BlockOperation&) { return BlockStatus::io_error; });
    backup.backend.hold(true);
    SECTION("by an epoch that is acknowledged when it is durable") {
        backup.backend.hold(false);
        CHECK_FALSE(backup.disks->sync().ok());
    }
    SECTION("when it is looked at") {
        REQUIRE(backup.replay_flush().ok());
        backup.backend.release_all();
        CHECK_FALSE(backup.disks->idle().ok());
    }
    SECTION("at a guest's end") {
        backup.backend.hold(false);
        CHECK_FALSE(backup.disks->release().ok());
    }
    SECTION("when the disks are given up") {
        REQUIRE(backup.replay_flush().ok());
        backup.backend.release_all();
        backup.disks.reset();
    }
    SECTION("when they come to rest") {
        REQUIRE(backup.replay_flush().ok());
        CHECK_FALSE(backup.disks->at_rest());
        backup.backend.release_all();
        CHECK(backup.disks->at_rest());
    }
    SECTION("at a takeover") {
        REQUIRE(backup.replay_flush().ok());
        backup.backend.release_all();
        CHECK_FALSE(backup.disks->take_over(2).ok());
        backup.disks.reset();
    }
    CHECK(backup.map->label().role == replay::DiskRole::syncing);
    CHECK(backup.map->label().pair != replay::LabelId{1});
    CHECK(backup.map->dirty().size() == 3);
}

TEST_CASE("standby disks: a takeover waits for a flush, however long, and for nothing else") {
    Backup backup;
    backup.begin();
    backup.backend.hold(true);
    REQUIRE(backup.replay_flush().ok());
    CHECK_FALSE(backup.disks->take_over(2).value());
    CHECK_FALSE(backup.disks->take_over(2).value());
    CHECK(backup.map->label().role != replay::DiskRole::running);
    backup.backend.release_all();
    CHECK(backup.disks->take_over(2).value());
    CHECK(backup.map->label().role == replay::DiskRole::running);
    CHECK(backup.map->label().generation == 2);
}

TEST_CASE("standby disks: those with a flush in flight are not at rest, and nobody waits for it") {
    Backup backup;
    backup.begin();
    backup.map->clear({{0, 3}});
    CHECK(backup.disks->at_rest());
    backup.backend.hold(true);
    REQUIRE(backup.replay_flush().ok());
    CHECK_FALSE(backup.disks->at_rest());
    CHECK(backup.map->dirty().size() == 0);
    std::this_thread::sleep_for(answer_limit);
    CHECK_FALSE(backup.disks->at_rest());  // however long it takes
    // They hold what they should, if the flush ends; but who knows that it does?
    CHECK(backup.map->dirty().size() == 3);
    CHECK(backup.map->label().role == replay::DiskRole::following);
    SECTION("it is done after all") {
        backup.backend.release_all();
        CHECK(backup.disks->at_rest());
        CHECK(backup.map->label().role == replay::DiskRole::following);
    }
    SECTION("it fails after all") {
        backup.backend.judge([](const BlockOperation&) { return BlockStatus::io_error; });
        backup.backend.release_all();
        CHECK(backup.disks->at_rest());
        CHECK(backup.map->label().role == replay::DiskRole::syncing);
    }
    CHECK(backup.map->dirty().size() == 3);
}

TEST_CASE("standby disks: a takeover of disks that were never equal is a fault of our own") {
    Backup backup;
    CHECK(aborts([&backup] { static_cast<void>(backup.disks->take_over(2)); }));
    CHECK(aborts([&backup] { static_cast<void>(backup.disks->release()); }));
    CHECK(aborts([&backup] { static_cast<void>(backup.disks->follow()); }));
}

TEST_CASE("standby disks: steps and serials count from the beginning of the pair") {
    Backup backup;
    const replay::SerialMessage serial{0, 4};
    CHECK(backup.disks->hear_serial(serial).error().message() ==
          "it told the serial of disk 0 out of turn");
    CHECK_FALSE(backup.disks->hear_serial({1, 4}).ok());
    backup.begin();
    REQUIRE(backup.disks->hear_serial(serial).ok());
    backup.disks->hear_commit();
    CHECK(backup.disks->acknowledge().empty());  // no region has become active
    CHECK(backup.map->progress(backup.map->label().pair) == replay::PairProgress{0, 4, 1, 1});
}

TEST_CASE("standby disks: a region that became active is told before the acknowledgement") {
    Backup backup;
    backup.map->clear({{0, 3}});
    const auto prune = backup.map->begin_prune(replay::DirtyBlockMap::Prune::all);
    backup.map->end_prune(prune.value(), true);
    backup.begin();
    REQUIRE(backup.map->mark(0, 512).ok());
    const std::vector<OutgoingMessage> before = backup.disks->acknowledge();
    REQUIRE(before.size() == 1);
    CHECK(before[0].type == FrameType::disk_serial);
    CHECK(replay::SerialMessage::decode(before[0].body.flat()).value().serial == 1);
    CHECK(backup.disks->acknowledge().empty());
}
