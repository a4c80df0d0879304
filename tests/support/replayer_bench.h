// SPDX-License-Identifier: Apache-2.0
// Records to replay, and a replayer over two disks that carry them out when the test says so.
#pragma once

#include <catch2/catch.hpp>
#include <deque>
#include <optional>

#include "base/digest.h"
#include "replay/apply/replayer.h"
#include "support/faulty_backend.h"
#include "support/guest_ram.h"

namespace fmvm::test {

inline constexpr std::uint64_t replay_disk_bytes = 64 * kib;

inline std::uint64_t digest_of_page(std::span<const std::uint8_t> page) {
    ByteWriter digests;
    digests.u64(digest_of(page));
    return digest_of(digests.bytes());
}

// Records whose payloads stay.
class Records {
  public:
    replay::BlockRecord& add(BlockOp op, std::uint64_t sector, std::uint64_t bytes) {
        replay::BlockRecord& record = list.emplace_back();
        record.sequence = ++sequence_;
        record.op = op;
        record.offset = sector * sector_size;
        record.length = bytes;
        return record;
    }
    replay::BlockRecord& write(std::uint64_t sector, std::uint8_t value,
                               std::uint64_t bytes = 512) {
        const Bytes& payload = payloads_.emplace_back(bytes, value);
        replay::BlockRecord& record = add(BlockOp::write, sector, bytes);
        record.by_value = true;
        record.payload = payload;
        record.digest = digest_of(payload);
        return record;
    }
    replay::BlockRecord& write_from(GuestAddress at, std::uint64_t sector, const Bytes& expected) {
        replay::BlockRecord& record = add(BlockOp::write, sector, expected.size());
        record.segments = {{at, static_cast<std::uint32_t>(expected.size())}};
        record.digest = digest_of(expected);
        return record;
    }
    replay::BlockRecord& read_to(GuestAddress at, std::uint64_t sector, const Bytes& expected) {
        replay::BlockRecord& record = add(BlockOp::read, sector, expected.size());
        record.segments = {{at, static_cast<std::uint32_t>(expected.size())}};
        record.digest = digest_of_page(expected);
        return record;
    }

    std::vector<replay::BlockRecord> list;

  private:
    std::uint64_t sequence_ = 0;
    std::deque<Bytes> payloads_;
};

// Keeps what it is given until it is polled, then carries it out in the order that the test wants.
class HoldingDisk : public FaultyBackend {
  public:
    using FaultyBackend::FaultyBackend;
    bool poll_completions() override {
        waves.push_back(held().size());
        if (answers) backwards ? release_all_reversed() : release_all();
        return FaultyBackend::poll_completions();
    }
    std::vector<std::size_t> waves;  // how much was in flight at each poll
    bool backwards = true;
    bool answers = true;
};

struct ReplayerBench {
    explicit ReplayerBench(std::chrono::milliseconds limit = replay::Replayer::answer_max) {
        std::vector<BlockBackend*> backends;
        for (std::size_t i = 0; i < 2; ++i) {
            images.push_back(std::make_shared<Bytes>(replay_disk_bytes, std::uint8_t{0xdd}));
            disks.push_back(
                std::make_unique<HoldingDisk>(std::make_unique<MemoryBackend>(images[i])));
            disks[i]->hold(true);
            backends.push_back(disks[i].get());
        }
        replayer.emplace(&ram.memory(), backends, limit);
    }
    std::string replay(const Records& records) {
        for (const replay::BlockRecord& record : records.list)
            REQUIRE(replayer->check(record).ok());
        const Result<void> result = replayer->replay(records.list);
        return result.ok() ? "" : result.error().message();
    }
    std::uint8_t on_disk(std::uint64_t sector, std::size_t disk = 0) const {
        return (*images[disk])[sector * sector_size];
    }
    std::vector<SharedImage> images;
    GuestRam ram;
    std::vector<std::unique_ptr<HoldingDisk>> disks;
    std::optional<replay::Replayer> replayer;
};

}  // namespace fmvm::test
