// SPDX-License-Identifier: Apache-2.0
#include "replay/archive/epoch_recorder.h"

#include <catch2/catch.hpp>

#include "replay/capture/recording_backend.h"
#include "support/fake_lines.h"
#include "support/faulty_backend.h"
#include "support/log_bench.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

namespace {

using Sequences = std::vector<std::vector<std::uint64_t>>;  // of each epoch but the first

LoggedRequest flush(std::uint64_t sequence) {
    LoggedRequest request;
    request.sequence = sequence;
    request.op = BlockOp::flush;
    return request;
}

class RecorderBench {
  public:
    RecorderBench() { recorder.begin(log.path, log_header(), 5, {}).value(); }

    void flushes(std::initializer_list<std::uint64_t> sequences) {
        for (const std::uint64_t sequence : sequences)
            recorder.append(flush(sequence));
    }
    Sequences ended() {
        recorder.end();
        return written();
    }
    Sequences written() const {
        const ReadLog found(log.path);
        CHECK(found.error.empty());
        Sequences epochs;
        for (std::size_t i = 1; i < found.epochs.size(); ++i) {
            auto& sequences = epochs.emplace_back();
            for (const BlockRecord& record : found.epochs[i].records)
                sequences.push_back(record.sequence);
        }
        return epochs;
    }
    EpochStamp stamp(std::size_t epoch) const { return ReadLog(log.path).epochs[epoch].stamp; }

    LogPath log;
    EpochRecorder recorder;
};

}  // namespace

TEST_CASE("recorder: of a guest that runs alone everything counts, soon") {
    RecorderBench bench;
    bench.flushes({1, 2});
    CHECK(eventually([&] { return bench.written() == Sequences{{1, 2}}; }));
    bench.flushes({3});
    CHECK(bench.ended() == Sequences{{1, 2}, {3}});
    CHECK(bench.stamp(1).generation == 5);
    CHECK(bench.stamp(1).shipped == 0);
}

TEST_CASE("recorder: with a backup an epoch counts when it is committed") {
    RecorderBench bench;
    bench.flushes({1});
    bench.recorder.close_epoch(1);  // what came before it counted already
    bench.flushes({2});
    bench.recorder.close_epoch(2);
    bench.recorder.commit(1);
    bench.flushes({3, 4});
    bench.recorder.close_epoch(3);
    bench.flushes({5});
    bench.recorder.commit(2);
    CHECK(eventually([&] { return bench.written() == Sequences{{1}, {2}}; }));
    SECTION("and when this side halts, no other") {
        CHECK(bench.ended() == Sequences{{1}, {2}});
        CHECK(bench.stamp(2).shipped == 2);
    }
    SECTION("or when the guest goes on alone") {
        bench.recorder.set_generation(6);
        bench.recorder.commit_all();
        CHECK(bench.ended() == Sequences{{1}, {2}, {3, 4}, {5}});
        CHECK(bench.stamp(3).generation == 5);
        CHECK(bench.stamp(4).generation == 6);
    }
    SECTION("and with the next backup its epochs count from 1 again") {
        bench.recorder.commit_all();
        bench.recorder.close_epoch(1);
        bench.flushes({6});
        bench.recorder.close_epoch(2);
        bench.flushes({7});
        bench.recorder.close_epoch(3);
        bench.recorder.commit(2);
        CHECK(bench.ended() == Sequences{{1}, {2}, {3, 4}, {5}, {6}});
    }
}

TEST_CASE("recorder: an epoch without requests takes no place") {
    RecorderBench bench;
    for (std::uint64_t epoch = 1; epoch < 10; ++epoch) {
        bench.recorder.close_epoch(epoch);
        bench.recorder.commit(epoch);
    }
    CHECK(bench.ended().empty());
}

TEST_CASE("recorder: when it cannot keep up it ends at a whole epoch, and holds nothing") {
    RecorderBench bench;
    bench.recorder.close_epoch(1);
    bench.flushes({1});
    bench.recorder.close_epoch(2);
    bench.recorder.commit(2);
    const auto payload = std::make_shared<WritePayload>();
    LoggedRequest request;
    request.op = BlockOp::write;
    request.write = payload;
    request.length = EpochRecorder::held_bytes_max / 2;  // that is what it counts
    bench.recorder.append(request);
    CHECK(bench.recorder.is_recording());
    bench.recorder.append(request);
    CHECK_FALSE(bench.recorder.is_recording());
    request.write.reset();
    CHECK(payload.use_count() == 1);
    bench.flushes({2});
    bench.recorder.commit_all();
    CHECK(bench.ended() == Sequences{{1}});
}

namespace {

// A disk under a recorder, without any backup.
class Disk : private BlockOperationOwner {
  public:
    Disk() {
        recorder.begin(path.path, log_header(), 0, {}).value();
        auto faulty = std::make_unique<FaultyBackend>(std::make_unique<MemoryBackend>(image));
        disk = faulty.get();
        backend.emplace(loop, ram.memory(), log, std::uint8_t{0}, std::move(faulty));
    }
    GuestAddress submit(BlockOp op, std::uint64_t offset, std::uint8_t value) {
        const GuestAddress at = ram.take(page_size, page_size);
        ram.poke_bytes(at, Bytes(page_size, value));
        BlockOperation& operation = operations.emplace_back();
        operation.op = op;
        operation.offset = offset;
        operation.length = page_size;
        operation.segments = {{at, page_size}};
        operation.buffers.push_back({ram.memory().host_range(at, page_size), page_size});
        operation.owner = this;
        backend->submit(operation);
        return at;
    }
    std::vector<BlockRecord> recorded() {
        recorder.end();
        found.emplace(path.path);
        std::vector<BlockRecord> records;
        for (const LoggedEpoch& epoch : found->epochs)
            records.insert(records.end(), epoch.records.begin(), epoch.records.end());
        return records;
    }

    LogPath path;
    SharedImage image = std::make_shared<Bytes>(log_disk_bytes, std::uint8_t{0xdd});
    GuestRam ram{1 * mib};
    EventLoop loop;  // never started
    EpochRecorder recorder;
    BlockLog log{BlockLog::Reads::passed, BlockLog::budget_default, &recorder};
    FaultyBackend* disk = nullptr;
    std::deque<BlockOperation> operations;
    std::optional<RecordingBackend> backend;
    std::optional<ReadLog> found;

  private:
    void complete(BlockOperation&, BlockStatus) override {}
};

}  // namespace

TEST_CASE("recorder: the log gets what the disk got, whatever the guest does to its buffers") {
    Disk disk;
    disk.disk->hold(true);
    const GuestAddress written = disk.submit(BlockOp::write, 0, 1);
    disk.submit(BlockOp::read, page_size, 0);
    disk.ram.poke_bytes(written, Bytes(page_size, 0x55));
    disk.disk->release_all();
    disk.backend->poll_completions();
    CHECK((*disk.image)[0] == 1);
    CHECK(disk.log.take_completed().empty());  // no backup asked for it
    const std::vector<BlockRecord> records = disk.recorded();
    REQUIRE(records.size() == 2);
    CHECK(records[0].digest == digest_of(Bytes(page_size, 1)));
    CHECK(records[1].digest == LogRecords().read(0, Bytes(page_size, 0xdd)).digest);
}

TEST_CASE("recorder: a backup that comes finds requests in flight captured already") {
    Disk disk;
    disk.disk->hold(true);
    disk.submit(BlockOp::write, 0, 1);
    disk.submit(BlockOp::read, page_size, 0);
    disk.log.begin();
    CHECK(disk.log.all_captured());
    disk.disk->release_all();
    disk.backend->poll_completions();
    const std::vector<LoggedRequest> mirrored = disk.log.take_completed();
    REQUIRE(mirrored.size() == 1);  // no read: the backup's disk is not equal yet
    CHECK(mirrored[0].op == BlockOp::write);
    CHECK(disk.recorded().size() == 2);
}

TEST_CASE("recorder: what was read where a change failed is never told, a new backup or not") {
    Disk disk;
    disk.disk->judge([](const BlockOperation& operation) -> std::optional<BlockStatus> {
        if (operation.op == BlockOp::write) return BlockStatus::io_error;
        return std::nullopt;
    });
    disk.submit(BlockOp::write, 0, 1);
    disk.log.begin();
    disk.submit(BlockOp::read, 0, 0);
    const std::vector<BlockRecord> records = disk.recorded();
    REQUIRE(records.size() == 1);
    CHECK(records[0].failed);
}

TEST_CASE("recorder: once it has ended requests pass as if there had been none") {
    Disk disk;
    disk.submit(BlockOp::write, 0, 1);
    CHECK(disk.recorded().size() == 1);
    disk.disk->hold(true);
    const GuestAddress at = disk.submit(BlockOp::write, 0, 2);
    disk.ram.poke_bytes(at, Bytes(page_size, 3));
    disk.log.begin();
    CHECK_FALSE(disk.log.all_captured());
    disk.disk->release_all();
    disk.backend->poll_completions();
    CHECK((*disk.image)[0] == 3);  // it was not copied
    CHECK(disk.log.all_captured());
}
