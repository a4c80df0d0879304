// SPDX-License-Identifier: Apache-2.0
#include "replay/scrub/scrubber.h"

#include <catch2/catch.hpp>
#include <random>

#include "base/digest.h"
#include "support/memory_blocks.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace std::chrono_literals;

namespace {

using Blocks = std::vector<BlockIndex>;

constexpr std::uint64_t block_count = 40;
constexpr std::uint64_t image_bytes = block_count * disk_block_bytes - 1024;
constexpr std::uint64_t rate = 64 * mib;  // a block in about a millisecond

Scrubber::TimePoint at(std::chrono::microseconds time) {
    return Scrubber::TimePoint(1000s) + time;
}

// Disks that a guest writes, as they are and as a backup has them after the last cut.
struct Disks {
    explicit Disks(std::size_t count = 1) {
        for (std::size_t i = 0; i < count; ++i) {
            DiskLabel label;
            label.image_bytes = image_bytes;
            maps.push_back(DirtyBlockMap::unsaved(label).value());
            maps.back()->take_touched();
            images.push_back(std::make_unique<MemoryBlocks>(image_bytes));
        }
    }
    Scrubber scrub(std::uint64_t first_number = 1, std::uint64_t bytes_per_second = rate) {
        std::vector<Scrubber::Disk> disks;
        for (std::size_t i = 0; i < maps.size(); ++i)
            disks.push_back({maps[i].get(), images[i].get()});
        return Scrubber(std::move(disks), bytes_per_second, first_number, at(0s));
    }
    void begin_write(BlockIndex block, std::size_t disk = 0) {
        REQUIRE(maps[disk]->mark(block * disk_block_bytes, 512).ok());
        *images[disk]->at(block) ^= 0x55;
    }
    void end_write(BlockIndex block, std::size_t disk = 0) {
        maps[disk]->end_change(block * disk_block_bytes, 512, false);
    }
    void write(BlockIndex block, std::size_t disk = 0) {
        begin_write(block, disk);
        end_write(block, disk);
    }
    void cut(Scrubber& scrubber) {
        for (const auto& map : maps)
            map->take_touched();
        scrubber.cut();
    }

    std::vector<std::unique_ptr<DirtyBlockMap>> maps;
    std::vector<std::unique_ptr<MemoryBlocks>> images;
};

Blocks numbers(const CheckMessage& message) {
    Blocks blocks;
    for (const BlockDigest& block : message.blocks)
        blocks.push_back(block.block);
    return blocks;
}

// All that is due until a cut or an answer is needed, answered at once.
Blocks run(Scrubber& scrubber) {
    Blocks blocks;
    while (scrubber.due() != Scrubber::TimePoint::max()) {
        const auto message = scrubber.next(7, std::max(scrubber.due(), at(0s))).value();
        if (!message) continue;
        const Blocks more = numbers(*message);
        blocks.insert(blocks.end(), more.begin(), more.end());
        REQUIRE(scrubber.on_checked({message->number}).ok());
    }
    return blocks;
}

}  // namespace

TEST_CASE("scrubber: every block of every disk, the last one shorter", "[scrub]") {
    Disks disks(2);
    *disks.images[1]->at(3) = 9;
    Scrubber scrubber = disks.scrub();
    std::uint64_t blocks = 0;
    std::uint64_t number = 1;
    while (!scrubber.finished()) {
        const auto message = scrubber.next(7, scrubber.due()).value();
        REQUIRE(message);
        CHECK(message->number == number++);
        CHECK(message->epoch == 7);
        for (const BlockDigest& block : message->blocks) {
            CHECK(message->disk == blocks / block_count);
            CHECK(block.block == blocks++ % block_count);
            const std::uint64_t size = bytes_of_block(block.block, image_bytes);
            const auto start = disks.images[message->disk]->at(block.block);
            CHECK(block.digest == digest_of(std::span(&*start, size)));
        }
        REQUIRE(scrubber.on_checked({message->number}).ok());
    }
    CHECK(blocks == 2 * block_count);
    CHECK(scrubber.progress().bytes_equal == 2 * image_bytes);
    CHECK(scrubber.progress().bytes_total == 2 * image_bytes);
    CHECK(scrubber.due() == Scrubber::TimePoint::max());
    CHECK(scrubber.next_number() == number);
}

TEST_CASE("scrubber: not faster than asked, and a late timer is made up for a little", "[scrub]") {
    Disks disks(8);
    const auto checks_by = [&](std::chrono::milliseconds step, std::chrono::milliseconds end) {
        Scrubber scrubber = disks.scrub();
        std::uint64_t bytes = 0;
        for (auto now = 0ms; now < end; now += step) {
            while (const auto message = scrubber.next(7, at(now)).value()) {
                bytes += message->blocks.size() * disk_block_bytes;
                REQUIRE(scrubber.on_checked({message->number}).ok());
            }
        }
        return bytes;
    };
    const std::uint64_t in_100ms = rate / 10;
    CHECK(checks_by(1ms, 100ms) >= in_100ms - 4 * disk_block_bytes);
    CHECK(checks_by(1ms, 100ms) <= in_100ms + 4 * disk_block_bytes);
    CHECK(checks_by(20ms, 101ms) >= in_100ms - 4 * disk_block_bytes);
    // Only 50 ms of a second are made up for.
    CHECK(checks_by(1000ms, 1001ms) <= rate / 10);
}

TEST_CASE("scrubber: what is on its way is bounded until answers come", "[scrub]") {
    Disks disks;
    Scrubber scrubber = disks.scrub();
    std::vector<std::uint64_t> sent;
    while (scrubber.due() != Scrubber::TimePoint::max())
        sent.push_back(scrubber.next(7, scrubber.due()).value()->number);
    CHECK(sent.size() == Scrubber::blocks_on_way_max / Scrubber::blocks_at_a_time);
    CHECK_FALSE(scrubber.next(7, at(100s)).value());
    REQUIRE(scrubber.on_checked({sent[0]}).ok());
    CHECK(scrubber.next(7, at(100s)).value());
}

TEST_CASE("scrubber: a block written since the cut waits for the next one", "[scrub]") {
    Disks disks;
    Scrubber scrubber = disks.scrub();
    disks.cut(scrubber);
    disks.write(5);
    CHECK(run(scrubber).size() == block_count - 1);
    CHECK_FALSE(scrubber.finished());
    CHECK(scrubber.blocks_left() == 1);
    disks.cut(scrubber);
    CHECK(run(scrubber) == Blocks{5});
    CHECK(scrubber.finished());
}

TEST_CASE("scrubber: a write in flight at the cut keeps its block out", "[scrub]") {
    Disks disks;
    Scrubber scrubber = disks.scrub();
    disks.begin_write(5);
    disks.cut(scrubber);
    disks.end_write(5);  // after the cut: it belongs to the next epoch
    CHECK(run(scrubber).size() == block_count - 1);
    disks.cut(scrubber);
    CHECK(run(scrubber) == Blocks{5});
}

TEST_CASE("scrubber: a write during the read of its block makes the digest void", "[scrub]") {
    Disks disks;
    Scrubber scrubber = disks.scrub();
    disks.images[0]->on_read = [&](BlockIndex block) {
        if (block == 5) disks.write(5);
    };
    CHECK(run(scrubber).size() == block_count - 1);
    disks.images[0]->on_read = nullptr;
    disks.cut(scrubber);
    CHECK(run(scrubber) == Blocks{5});
}

TEST_CASE("scrubber: a block that is always written is read at a cut", "[scrub]") {
    Disks disks;
    Scrubber scrubber = disks.scrub();
    disks.write(5);
    CHECK(run(scrubber).size() == block_count - 1);
    CHECK(scrubber.due() == Scrubber::TimePoint::max());
    disks.cut(scrubber);
    const auto expected = digest_of(std::span(&*disks.images[0]->at(5), disk_block_bytes));
    disks.write(5);
    const auto message = scrubber.next(7, at(0s)).value();  // whatever the rate
    REQUIRE(message);
    CHECK(message->blocks == std::vector<BlockDigest>{{5, expected}});
}

TEST_CASE("scrubber: what a cut has read is void at the next", "[scrub]") {
    Disks disks;
    Scrubber scrubber = disks.scrub();
    disks.write(5);
    run(scrubber);
    disks.cut(scrubber);  // reads it
    disks.write(5);
    disks.cut(scrubber);               // reads it anew
    CHECK_FALSE(scrubber.finished());  // it was not sent
    const auto expected = digest_of(std::span(&*disks.images[0]->at(5), disk_block_bytes));
    const auto message = scrubber.next(7, at(0s)).value();
    REQUIRE(message);
    CHECK(message->blocks == std::vector<BlockDigest>{{5, expected}});
    CHECK(scrubber.blocks_left() == 0);
    REQUIRE(scrubber.on_checked({message->number}).ok());
    CHECK(scrubber.finished());
}

TEST_CASE("scrubber: a block in flight at every cut is left, and nothing spins", "[scrub]") {
    Disks disks;
    Scrubber scrubber = disks.scrub();
    disks.begin_write(5);
    for (int i = 0; i < 10; ++i) {
        disks.cut(scrubber);
        run(scrubber);
    }
    CHECK(scrubber.blocks_left() == 1);
    CHECK(scrubber.all_answered());
    CHECK(scrubber.due() == Scrubber::TimePoint::max());
    CHECK(disks.images[0]->reads.size() == block_count - 1);
}

TEST_CASE("scrubber: answers out of turn are refused, late ones to another are not", "[scrub]") {
    Disks disks;
    Scrubber scrubber = disks.scrub(100);
    CHECK(scrubber.on_checked({99}).ok());
    CHECK_FALSE(scrubber.on_checked({100}).ok());  // not sent yet
    REQUIRE(scrubber.next(7, at(1s)).value()->number == 100);
    REQUIRE(scrubber.next(7, at(1s)).value()->number == 101);
    CHECK_FALSE(scrubber.on_checked({101}).ok());
    CHECK_FALSE(scrubber.on_checked({UINT64_MAX}).ok());
    CHECK(scrubber.progress().bytes_equal == 0);
    CHECK(scrubber.on_checked({100}).ok());
    CHECK_FALSE(scrubber.on_checked({100}).ok());
    CHECK(scrubber.progress().bytes_equal == 4 * disk_block_bytes);
}

TEST_CASE("scrubber: a disk that cannot be read is an error, at a cut too", "[scrub]") {
    Disks disks;
    disks.images[0]->unreadable = 2;
    Scrubber scrubber = disks.scrub();
    CHECK_FALSE(scrubber.next(7, at(0s)).ok());
    CHECK(scrubber.blocks_left() == block_count);  // those read before it are still to be compared
    disks.images[0]->unreadable = 0;

    Scrubber second = disks.scrub();
    disks.write(0);
    run(second);
    disks.cut(second);
    const auto failed = second.next(7, at(0s));
    REQUIRE_FALSE(failed.ok());
    CHECK(failed.error().message().find("a.img") != std::string::npos);
}

// Writes take effect in two halves, end in any order and begin while a block is read; a backup has
// what was complete at the last cut. Every digest must be that of the backup's block.
TEST_CASE("scrubber: model: whatever the guest does, only what is equal is compared", "[scrub]") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        INFO("seed " << seed);
        std::mt19937_64 random(seed);
        Disks disks;
        MemoryBlocks& image = *disks.images[0];
        MemoryBlocks backup(image_bytes);
        Blocks in_flight, completed;
        std::uint64_t epoch = 1;
        std::deque<std::uint64_t> unanswered;
        Scrubber scrubber = disks.scrub();
        const std::uint64_t busy = 1 + seed % block_count;  // blocks that are written at all
        const auto begin_write = [&] {
            const BlockIndex block = random() % busy;
            if (std::ranges::count(in_flight, block) != 0) return;
            disks.begin_write(block);
            in_flight.push_back(block);
        };
        const auto end_write = [&] {
            if (in_flight.empty()) return;
            const std::size_t which = random() % in_flight.size();
            const BlockIndex block = in_flight[which];
            image.at(block)[100] = static_cast<std::uint8_t>(random());
            disks.end_write(block);
            completed.push_back(block);
            in_flight.erase(in_flight.begin() + static_cast<std::ptrdiff_t>(which));
        };
        const auto cut = [&] {
            for (const BlockIndex block : completed) {
                if (std::ranges::count(in_flight, block) != 0) continue;
                std::copy_n(image.at(block), bytes_of_block(block, image_bytes), backup.at(block));
            }
            // What is in flight is partly on this disk, and nobody knows how much of it.
            std::erase_if(completed, [&](BlockIndex block) {
                return std::ranges::count(in_flight, block) == 0;
            });
            ++epoch;
            disks.cut(scrubber);
        };
        image.on_read = [&](BlockIndex) {
            if (random() % 8 == 0) begin_write();
        };
        for (int step = 0; step < 3000 && !scrubber.finished(); ++step) {
            switch (random() % 6) {
                case 0:
                    begin_write();
                    break;
                case 1:
                case 2:
                    end_write();
                    break;
                case 3:
                    cut();
                    break;
                case 4:
                    if (unanswered.empty()) break;
                    REQUIRE(scrubber.on_checked({unanswered.front()}).ok());
                    unanswered.pop_front();
                    break;
                default: {
                    const auto message = scrubber.next(epoch, at(1s * step)).value();
                    if (!message) break;
                    unanswered.push_back(message->number);
                    REQUIRE(message->epoch == epoch);
                    for (const BlockDigest& block : message->blocks) {
                        const std::uint64_t size = bytes_of_block(block.block, image_bytes);
                        REQUIRE(block.digest ==
                                digest_of(std::span(&*backup.at(block.block), size)));
                    }
                }
            }
        }
        CHECK(scrubber.finished());
    }
}
