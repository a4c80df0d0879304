// SPDX-License-Identifier: Apache-2.0
// The steps of a block request inside the VMM, without KVM and without a disk; what recording it
// for a backup with its own disk adds.
#include <benchmark/benchmark.h>

#include <array>
#include <cstring>

#include "devices/block/block_request.h"
#include "devices/virtio/virtqueue.h"
#include "lockstep/wire/page_codec.h"
#include "replay/capture/recording_backend.h"

namespace fmvm {
namespace {

constexpr GuestAddress descriptors{0x1000};
constexpr GuestAddress available{0x3000};
constexpr GuestAddress used{0x4000};
constexpr GuestAddress header{0x6000};
constexpr std::uint16_t queue_size = 256;

struct Descriptor {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t flags;
    std::uint16_t next;
};

// A queue in which every entry is a 4 KiB read: header, data, status.
class ReadQueue {
  public:
    ReadQueue() {
        const std::array<Descriptor, 3> chain{
            {{header.value(), 16, 1, 1}, {0x10000, 4096, 3, 2}, {0x20000, 1, 2, 0}}};
        FMVM_CHECK(memory.write_object(descriptors, chain));
        Virtqueue::State state;
        state.layout = {queue_size, true, descriptors, available, used};
        state.event_index = true;
        queue.emplace(memory, state);
    }
    void publish() { FMVM_CHECK(memory.store_release(available + 2, ++index)); }

    static GuestMemory allocate() {
        const GuestMemory::Range range{GuestAddress(0), 16 * mib};
        return GuestMemory::allocate({&range, 1}).value();
    }
    GuestMemory memory = allocate();
    std::optional<Virtqueue> queue;
    std::uint16_t index = 0;
};

void memcpy_4k(benchmark::State& state) {
    static std::array<std::uint8_t, 4096> from{};
    static std::array<std::uint8_t, 4096> to{};
    for (auto _ : state) {
        benchmark::DoNotOptimize(from.data());
        std::memcpy(to.data(), from.data(), from.size());
        benchmark::DoNotOptimize(to);
        benchmark::ClobberMemory();
    }
}
BENCHMARK(memcpy_4k);  // the baseline

void queue_round_trip(benchmark::State& state) {
    ReadQueue guest;
    for (auto _ : state) {
        guest.publish();
        std::optional<DescriptorChain> chain = guest.queue->pop();
        guest.queue->push(std::move(*chain), 4097);
        benchmark::DoNotOptimize(guest.queue->needs_interrupt());
    }
}
BENCHMARK(queue_round_trip);

void parse_read_request(benchmark::State& state) {
    ReadQueue guest;
    guest.publish();
    DescriptorChain chain = std::move(*guest.queue->pop());
    const BlockLimits limits{.capacity = 1 * gib,
                             .block_size = 512,
                             .read_only = false,
                             .segments_max = 254,
                             .transfer_bytes_max = 16 * mib,
                             .discard_bytes_max = 1 * gib};
    for (auto _ : state) {
        BlockRequest request;
        benchmark::DoNotOptimize(parse_block_request(guest.memory, chain, limits, request));
    }
    chain.abandon();
}
BENCHMARK(parse_read_request);

void guest_write_4k(benchmark::State& state) {
    ReadQueue guest;
    static const std::array<std::uint8_t, 4096> bytes{};
    for (auto _ : state)
        benchmark::DoNotOptimize(guest.memory.write(GuestAddress(0x10000), bytes));
}
BENCHMARK(guest_write_4k);

// A disk that has carried out everything already.
class InstantBackend : public BlockBackend {
  public:
    std::uint64_t capacity() const override { return 1 * gib; }
    std::uint32_t block_size() const override { return 512; }
    bool read_only() const override { return false; }
    void submit(BlockOperation& operation) override { operation.complete(BlockStatus::ok); }
    void flush_submissions() override {}
    bool poll_completions() override { return false; }
    void withdraw() override {}
};

// A request of 4 KiB through the block log, with a cut for every 256.
void log_4k(benchmark::State& state, BlockOp op, bool recording) {
    struct : BlockOperationOwner {
        void complete(BlockOperation&, BlockStatus) override {}
    } owner;
    GuestMemory memory = ReadQueue::allocate();
    EventLoop loop;
    replay::BlockLog log(replay::BlockLog::Reads::recorded);
    replay::RecordingBackend backend(loop, memory, log, 0, std::make_unique<InstantBackend>());
    if (recording) {
        log.begin();
        log.start_epochs();
    }
    BlockOperation operation;
    operation.op = op;
    operation.length = page_size;
    operation.segments = {{GuestAddress(0x10000), page_size}};
    operation.buffers = {{memory.host_range(GuestAddress(0x10000), page_size), page_size}};
    operation.owner = &owner;
    unsigned taken = 0;
    for (auto _ : state) {
        backend.submit(operation);
        if (recording && ++taken % 256 == 0) benchmark::DoNotOptimize(log.close_epoch());
    }
}
BENCHMARK_CAPTURE(log_4k, off, BlockOp::write, false);
BENCHMARK_CAPTURE(log_4k, write, BlockOp::write, true);
BENCHMARK_CAPTURE(log_4k, read, BlockOp::read, true);

// What LZ4 costs for a page that it makes smaller, and for one that it does not.
void pack_page(benchmark::State& state, bool noise) {
    std::array<std::uint8_t, page_size> page{};
    std::uint64_t random = 1;
    for (std::size_t i = 0; i < page.size(); ++i) {
        random = random * 6364136223846793005 + 1442695040888963407;
        page[i] =
            noise || i % 64 < 16 ? static_cast<std::uint8_t>(random >> 56) : std::uint8_t{0x20};
    }
    std::vector<std::uint8_t> body;
    for (auto _ : state) {
        body.clear();
        benchmark::DoNotOptimize(lockstep::append_page(body, 7, page, nullptr, {true, true}));
    }
}
BENCHMARK_CAPTURE(pack_page, smaller, false);
BENCHMARK_CAPTURE(pack_page, noise, true);

}  // namespace
}  // namespace fmvm

BENCHMARK_MAIN();
