// SPDX-License-Identifier: Apache-2.0
// A disk that answers when the test lets it, a guest that uses it, and the log of what it did.
#pragma once

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "replay/capture/recording_backend.h"
#include "support/faulty_backend.h"
#include "support/guest_ram.h"

namespace fmvm::test {

using Numbers = std::vector<std::size_t>;

// Requests have numbers, from 0 on.
class RecordingBench : private BlockOperationOwner {
  public:
    explicit RecordingBench(replay::BlockLog::Reads reads = replay::BlockLog::Reads::recorded,
                            std::uint64_t budget = replay::BlockLog::budget_default,
                            const MemoryBackend::Options& options = {})
        : log(reads, budget) {
        auto faulty =
            std::make_unique<FaultyBackend>(std::make_unique<MemoryBackend>(image, options));
        disk = faulty.get();
        backend.emplace(loop, ram.memory(), log, std::uint8_t{3}, std::move(faulty));
        log.on_pressure([this] { ++pressed; });
    }

    BlockOperation& submit(BlockOp op, std::uint64_t sector, std::uint64_t bytes,
                           const Segments& segments) {
        BlockOperation& operation = operations.emplace_back();
        operation.op = op;
        operation.offset = sector * sector_size;
        operation.length = bytes;
        operation.segments = segments;
        operation.owner = this;
        for (const Segment& segment : segments) {
            operation.buffers.push_back(
                {ram.memory().host_range(segment.address, segment.length), segment.length});
        }
        backend->submit(operation);
        return operation;
    }
    GuestAddress write(std::uint64_t sector, std::uint8_t value, std::uint32_t bytes = 512) {
        const GuestAddress at = ram.take(bytes);
        ram.poke_bytes(at, Bytes(bytes, value));
        submit(BlockOp::write, sector, bytes, {{at, bytes}});
        return at;
    }
    GuestAddress read(std::uint64_t sector, std::uint32_t bytes = 512) {
        const GuestAddress at = ram.take(bytes, page_size);
        submit(BlockOp::read, sector, bytes, {{at, bytes}});
        return at;
    }
    void change(BlockOp op, std::uint64_t sector, std::uint64_t bytes = 512) {
        submit(op, sector, bytes, {});
    }
    // Those that the disk has complete, in this order.
    void finish_in_order() {
        disk->release_all();
        poll();
    }
    void poll() {
        backend->poll_completions();
        loop.context().restart();
        loop.context().poll();
    }
    void start_recording() {
        log.begin();
        log.start_epochs();
    }
    std::uint8_t on_disk(std::uint64_t sector) const { return (*image)[sector * sector_size]; }
    Numbers sectors_held() const {
        Numbers sectors;
        for (const BlockOperation* operation : disk->held())
            sectors.push_back(operation->offset / sector_size);
        return sectors;
    }

    SharedImage image = std::make_shared<Bytes>(256 * kib, std::uint8_t{0xdd});
    GuestRam ram{1 * mib};
    EventLoop loop;  // never started
    replay::BlockLog log;
    FaultyBackend* disk = nullptr;
    std::optional<replay::RecordingBackend> backend;
    std::deque<BlockOperation> operations;
    Numbers completed;  // numbers of requests
    std::vector<BlockStatus> statuses;
    unsigned pressed = 0;

  private:
    void complete(BlockOperation& operation, BlockStatus status) override {
        const auto at = std::ranges::find_if(
            operations, [&operation](const BlockOperation& each) { return &each == &operation; });
        completed.push_back(static_cast<std::size_t>(at - operations.begin()));
        statuses.push_back(status);
    }
};

inline Bytes payload_of(const replay::LoggedRequest& request) {
    const std::span<const std::uint8_t> bytes = std::as_const(request.write->bytes).bytes();
    return {bytes.begin(), bytes.end()};
}

}  // namespace fmvm::test
