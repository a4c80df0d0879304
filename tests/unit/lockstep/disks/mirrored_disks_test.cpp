// SPDX-License-Identifier: Apache-2.0
// A primary's disks: what their maps say while epochs are under way. (What is sent: replay_*.)
#include "lockstep/disks/mirrored_disks.h"

#include <catch2/catch.hpp>
#include <variant>

#include "replay/resync/resync_target.h"
#include "support/guest_ram.h"
#include "support/memory_blocks.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

constexpr std::uint64_t block_count = 16;

struct Mirrored {
    Mirrored() {
        replay::DiskLabel label;
        label.image_bytes = block_count * replay::disk_block_bytes;
        map = replay::DirtyBlockMap::unsaved(label).value();
        map->clear({{0, block_count}});
        std::vector<MirroredDisks::Disk> list;
        list.push_back({map.get(), std::make_unique<MemoryBlocks>(label.image_bytes)});
        disks.emplace(log, ram.memory(), std::move(list), replay::PayloadMode::by_reference,
                      nullptr);
        backup_map = replay::DirtyBlockMap::unsaved(label).value();
    }
    // Protection begins, and the disks are found equal.
    void begin() {
        REQUIRE(disks->begin().ok());
        replay::ResyncTarget target(0, {}, *backup_map, backup_image, "b.img");
        say(FrameType::disk_known, target.known());
        while (!disks->may_cut()) {
            const OutgoingMessage message = disks->next_initial().value();
            const std::vector<std::uint8_t> body = message.body.flat();
            if (message.type == FrameType::disk_begin) {
                const auto ready = target.on_begin(replay::BeginMessage::decode(body).value());
                say(FrameType::disk_ready, ready.value());
            } else {
                REQUIRE(message.type == FrameType::disk_digests);
                const auto answer =
                    target.on_digests(replay::ChunkDigestsMessage::decode(body).value());
                say(FrameType::disk_done, std::get<replay::DoneMessage>(answer.value()));
            }
        }
        REQUIRE(disks->rest_of_initial().empty());
    }
    template <typename Message>
    void say(FrameType type, const Message& message) {
        const std::vector<std::uint8_t> body = message.encode();
        REQUIRE(disks->message({type, Buffer(body.begin(), body.end()), 0}).ok());
    }
    // All of an epoch that travels, which is nothing here.
    void cut(EpochId epoch) {
        disks->close(epoch);
        disks->apply_reference_rule(no_pages);
        OutgoingMessage message = disks->next_message(epoch);
        while (message.type == FrameType::disk_serial) {
            serial = replay::SerialMessage::decode(message.body.flat()).value().serial;
            message = disks->next_message(epoch);
        }
        REQUIRE(message.empty());
    }
    replay::PairProgress progress() const { return map->progress(map->label().pair); }
    // Of the guest, carried out at once.
    void change(std::initializer_list<replay::BlockIndex> changed) {
        for (const replay::BlockIndex block : changed) {
            REQUIRE(map->mark(block * replay::disk_block_bytes, 512).ok());
            map->end_change(block * replay::disk_block_bytes, 512, false);
        }
    }
    std::vector<replay::BlockIndex> dirty() const {
        std::vector<replay::BlockIndex> found;
        map->dirty().for_each([&](replay::BlockIndex block) { found.push_back(block); });
        return found;
    }

    struct NoPages : replay::CutPages {
        const std::uint8_t* find(PageIndex) const override { return nullptr; }
    } no_pages;
    GuestRam ram;
    MemoryBlocks backup_image{block_count * replay::disk_block_bytes};
    std::unique_ptr<replay::DirtyBlockMap> backup_map;
    std::uint64_t serial = 0;  // as it was told last
    replay::BlockLog log{replay::BlockLog::Reads::recorded};
    std::unique_ptr<replay::DirtyBlockMap> map;
    std::optional<MirroredDisks> disks;
};

using Blocks = std::vector<replay::BlockIndex>;

}  // namespace

TEST_CASE("mirrored disks: their labels say whose they are, and which of how many") {
    Mirrored mirrored;
    REQUIRE(mirrored.disks->run_under({7}, 3).ok());
    const replay::DiskLabel label = mirrored.map->label();
    CHECK(label.vm == VmId{7});
    CHECK(label.disk == 0);
    CHECK(label.disks == 1);
    CHECK(label.generation == 3);
    CHECK(label.role == replay::DiskRole::running);
}

TEST_CASE("mirrored disks: a committed epoch clears what no later one has changed, in any order") {
    Mirrored mirrored;
    mirrored.begin();
    mirrored.change({9, 3, 12});
    mirrored.cut(1);
    mirrored.change({3, 9, 1});
    mirrored.cut(2);
    mirrored.change({12});
    mirrored.disks->committed(1);
    CHECK(mirrored.dirty() == Blocks{1, 3, 9, 12});
    mirrored.disks->committed(2);
    CHECK(mirrored.dirty() == Blocks{12});
    mirrored.cut(3);
    mirrored.disks->committed(3);
    CHECK(mirrored.dirty().empty());
}

TEST_CASE("mirrored disks: what was cut and never committed stays marked") {
    Mirrored mirrored;
    mirrored.begin();
    mirrored.change({7, 2});
    mirrored.cut(1);
    mirrored.change({2, 5});
    mirrored.cut(2);
    mirrored.disks->committed(1);
    mirrored.disks->end();
    CHECK(mirrored.dirty() == Blocks{2, 5});
    mirrored.begin();  // the next connection begins with no epoch
    mirrored.cut(1);
    mirrored.disks->committed(1);
    CHECK(mirrored.dirty().empty());
}

TEST_CASE(
    "mirrored disks: they are equal from the end of the comparison to the end of protection") {
    Mirrored mirrored;
    CHECK_FALSE(mirrored.disks->equal());
    REQUIRE(mirrored.disks->begin().ok());
    CHECK_FALSE(mirrored.disks->equal());
    CHECK(mirrored.disks->progress() == "waiting for the backup's disks");
    CHECK(mirrored.disks->next_initial().value().empty());
    mirrored.disks->end();
    mirrored.begin();
    CHECK(mirrored.disks->equal());
    mirrored.cut(1);
    CHECK(mirrored.disks->equal());
    mirrored.disks->end();
    CHECK_FALSE(mirrored.disks->equal());
}

TEST_CASE("mirrored disks: each disk is named once, and before anything else is said of it") {
    Mirrored mirrored;
    REQUIRE(mirrored.disks->begin().ok());
    const auto say = [&](FrameType type, const std::vector<std::uint8_t>& body) {
        return mirrored.disks->message({type, Buffer(body.begin(), body.end()), 0});
    };
    CHECK(say(FrameType::disk_ready, replay::ReadyMessage{0}.encode()).error().message() ==
          "it sent a message about disk 0, which it has not named");
    replay::ResyncTarget target(0, {}, *mirrored.backup_map, mirrored.backup_image, "b.img");
    mirrored.say(FrameType::disk_known, target.known());
    CHECK(say(FrameType::disk_known, target.known().encode()).error().message() ==
          "it named disk 0 out of turn");
}

TEST_CASE("mirrored disks: a backup's later state is not overwritten, and half a copy is") {
    using replay::DiskRole;
    Mirrored mirrored;
    replay::DiskLabel label = mirrored.map->label();
    label.pair[0] = 1;
    REQUIRE(mirrored.map->set_label(label).ok());
    REQUIRE(mirrored.disks->begin().ok());
    // What a backup says whose primary's image and label were put back.
    const auto known_as = [&](DiskRole role) {
        replay::ResyncTarget target(0, {}, *mirrored.backup_map, mirrored.backup_image, "b.img");
        replay::KnownMessage known = target.known();
        known.vm = label.vm;
        known.pair = label.pair;
        known.role = role;
        known.progress.peer_serial = mirrored.progress().serial + 1;
        const std::vector<std::uint8_t> body = known.encode();
        return mirrored.disks->message(
            {FrameType::disk_known, Buffer(body.begin(), body.end()), 0});
    };
    for (const DiskRole role : {DiskRole::clean, DiskRole::running, DiskRole::following}) {
        const Result<void> refused = known_as(role);
        REQUIRE_FALSE(refused.ok());
        CHECK(refused.error().message().starts_with(
            "disk 0: the primary's image is older than the backup's, as if a copy was put back;"));
        CHECK(mirrored.map->label().offered == replay::LabelId{});
        CHECK(mirrored.disks->next_initial().value().empty());
        mirrored.disks->end();
        REQUIRE(mirrored.disks->begin().ok());
    }
    CHECK(known_as(DiskRole::syncing).ok());
    CHECK(mirrored.disks->next_initial().value().type == FrameType::disk_begin);
}

TEST_CASE("mirrored disks: each cut and each commit is a step, and the serial comes before it") {
    Mirrored mirrored;
    const auto prune = mirrored.map->begin_prune(replay::DirtyBlockMap::Prune::all);
    mirrored.map->end_prune(prune.value(), true);
    mirrored.begin();
    const replay::PairProgress begun = mirrored.progress();
    mirrored.cut(1);
    CHECK(mirrored.serial == 0);
    mirrored.disks->committed(1);
    mirrored.change({3});  // its region becomes active
    mirrored.cut(2);
    CHECK(mirrored.serial == 1);
    CHECK(mirrored.progress().sent == begun.sent + 2);
    CHECK(mirrored.progress().heard == begun.heard + 1);
}

TEST_CASE("mirrored disks: what the backup tells of its serial is kept, once the disk is ready") {
    Mirrored mirrored;
    REQUIRE(mirrored.disks->begin().ok());
    const auto say = [&](FrameType type, const std::vector<std::uint8_t>& body) {
        return mirrored.disks->message({type, Buffer(body.begin(), body.end()), 0});
    };
    replay::ResyncTarget target(0, {}, *mirrored.backup_map, mirrored.backup_image, "b.img");
    mirrored.say(FrameType::disk_known, target.known());
    const auto serial = replay::SerialMessage{0, 4}.encode();
    CHECK(say(FrameType::disk_serial, serial).error().message() ==
          "it told the serial of disk 0 out of turn");
    mirrored.say(FrameType::disk_ready, replay::ReadyMessage{0});
    REQUIRE(say(FrameType::disk_serial, serial).ok());
    CHECK(mirrored.progress().peer_serial == 4);
}
