// SPDX-License-Identifier: Apache-2.0
#include "replay/archive/log_replay.h"

#include <catch2/catch.hpp>
#include <random>

#include "support/faulty_backend.h"
#include "support/log_bench.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

namespace {

const Bytes start_page(page_size, 0xee);

// A log, and a disk that holds what its guest started from.
class LogReplayBench {
  public:
    Result<ReplayedLog> replay(std::uint64_t until = until_end) {
        if (!written_) write_log(log.path, epochs);
        written_ = true;
        Result<LogSurvey> survey = survey_log(log.path, until);
        if (!survey.ok()) return survey.error();
        MemoryBackend disk(image);
        return replay_log(survey.value(), {&disk}, [this](std::uint64_t epoch) { last = epoch; });
    }
    std::uint8_t at(std::uint64_t offset) const { return (*image)[offset]; }

    LogPath log;
    LogRecords records;
    std::vector<std::vector<BlockRecord>> epochs;
    SharedImage image = std::make_shared<Bytes>(log_disk_bytes, std::uint8_t{0xee});
    std::uint64_t last = 0;

  private:
    bool written_ = false;
};

}  // namespace

TEST_CASE("log replay: up to an epoch, further, and once more") {
    LogReplayBench bench;
    bench.epochs = {{bench.records.read(0, start_page)},
                    {bench.records.write(0, 1), bench.records.add(BlockOp::flush, 0, 0)},
                    {bench.records.write(512, 2)},
                    {bench.records.write(0, 3), bench.records.add(BlockOp::discard, 1024, 512)}};
    REQUIRE(bench.replay(2).ok());
    CHECK(bench.last == 2);
    CHECK(bench.at(0) == 1);
    CHECK(bench.at(512) == 0xee);
    for (int round = 0; round < 2; ++round) {
        REQUIRE(bench.replay().ok());
        CHECK(bench.last == 4);
        CHECK(bench.at(0) == 3);
        CHECK(bench.at(512) == 2);
        CHECK(bench.at(1024) == 0);
        CHECK(bench.at(1536) == 0xee);
    }
    const Result<ReplayedLog> beyond = bench.replay(5);
    REQUIRE_FALSE(beyond.ok());
    CHECK(beyond.error().message().find("ends with epoch 4") != std::string::npos);
}

TEST_CASE("log replay: an image that is not the starting one is noticed before it is changed") {
    LogReplayBench bench;
    bench.epochs = {{bench.records.read(page_size, start_page)}, {bench.records.write(0, 1)}};
    (*bench.image)[page_size + 5] = 0;
    const Result<ReplayedLog> replayed = bench.replay();
    REQUIRE_FALSE(replayed.ok());
    CHECK(replayed.error().message().find("epoch 1") != std::string::npos);
    CHECK(bench.at(0) == 0xee);
}

TEST_CASE("log replay: a read is verified when nothing changes what it read later") {
    Bytes written = start_page;
    std::fill_n(written.begin(), 512, std::uint8_t{1});
    LogReplayBench bench;
    bench.epochs = {{bench.records.read(0, start_page)},
                    {bench.records.write(0, 1), bench.records.read(0, written)},
                    {bench.records.write(page_size, 9)}};
    const Result<ReplayedLog> replayed = bench.replay();
    REQUIRE(replayed.ok());
    CHECK(replayed.value().reads_verified == 1);
    CHECK(replayed.value().reads_passed == 1);
}

TEST_CASE("log replay: an image that was replayed further is noticed where the log read it") {
    LogReplayBench bench;
    bench.epochs = {{bench.records.read(0, start_page)},
                    {bench.records.write(page_size, 1)},
                    {bench.records.write(0, 2)}};
    REQUIRE(bench.replay().ok());
    CHECK_FALSE(bench.replay(2).ok());
    CHECK(bench.replay(3).ok());
}

TEST_CASE("log replay: nothing is changed when what is to be replayed is damaged") {
    LogReplayBench bench;
    bench.epochs = {{bench.records.write(0, 1)}, {bench.records.write(512, 2)}};
    REQUIRE(bench.replay(1).ok());
    UniqueFd fd(::open(bench.log.path.c_str(), O_WRONLY));
    const off_t end = ::lseek(fd.get(), 0, SEEK_END);
    REQUIRE(::pwrite(fd.get(), "x", 1, end - 1) == 1);
    (*bench.image)[0] = 0xee;
    CHECK_FALSE(bench.replay().ok());
    CHECK(bench.at(0) == 0xee);
    CHECK(bench.replay(1).ok());  // what comes before the damage
    CHECK(bench.at(0) == 1);
}

TEST_CASE("log replay: a change that failed is left out") {
    LogReplayBench bench;
    BlockRecord failed = bench.records.add(BlockOp::write, 0, 512);
    failed.failed = true;
    bench.epochs = {{bench.records.read(0, start_page), failed}};
    const Result<ReplayedLog> replayed = bench.replay();
    REQUIRE(replayed.ok());
    CHECK(replayed.value().reads_verified == 1);
    CHECK(bench.at(0) == 0xee);
}

TEST_CASE("last changes: against one number for each byte") {
    std::minstd_rand random(7);
    constexpr std::uint64_t size = 64;
    LastChanges changes;
    std::vector<std::uint64_t> plain(size);
    for (std::uint64_t number = 1; number <= 5000; ++number) {
        const std::uint64_t offset = random() % size;
        const std::uint64_t length = random() % (size - offset) + 1;
        if (random() % 2 == 0) {
            changes.add(offset, length, number);
            std::fill_n(plain.begin() + static_cast<std::ptrdiff_t>(offset), length, number);
        }
        std::uint64_t latest = 0;
        for (std::uint64_t i = offset; i < offset + length; ++i)
            latest = std::max(latest, plain[i]);
        REQUIRE(changes.latest(offset, length) == latest);
    }
}
