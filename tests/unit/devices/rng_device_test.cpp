// SPDX-License-Identifier: Apache-2.0
#include "devices/rng_device.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "support/virtio_conformance.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

class RngRequests : public ConformanceSubject {
  public:
    std::unique_ptr<VirtioDevice> make(GuestMemory& memory, EventLoop&) override {
        return std::make_unique<RngDevice>(memory);
    }
    std::uint16_t submit(FakeQueue& queue) override { return queue.chain().writable(32).submit(); }
    void check(FakeQueue&, const UsedElement& element) override { CHECK(element.written == 32); }
};

struct Bench {
    Bench() : queue(ram, 8) {
        Virtqueue::State state;
        state.layout = queue.layout();
        device.activate(transport, virtio_f_version_1, {state});
    }
    GuestRam ram{256 * kib};
    FakeQueue queue;
    FakeTransport transport;
    RngDevice device{ram.memory()};
};

}  // namespace

TEST_CASE("rng: conformance", "[rng][conformance]") {
    RngRequests subject;
    check_virtio_conformance(subject);
}

TEST_CASE("rng: fills what it is given, over several buffers", "[rng]") {
    Bench bench;
    ChainBuilder chain = bench.queue.chain();
    chain.writable(100);
    const GuestAddress first = chain.last_address();
    chain.writable(300);
    const GuestAddress second = chain.last_address();
    const std::uint16_t head = chain.submit();
    static_cast<void>(bench.ram.take_dirty_pages());
    bench.device.queue_notified(0);
    CHECK(bench.queue.take_used() == std::vector<UsedElement>{{head, 400}});
    CHECK(bench.transport.interrupts == 1);
    // 100 random bytes of which less than 50 are not zero: once in 10^100 runs.
    const auto filled = [&](GuestAddress address, std::uint64_t length) {
        const Bytes bytes = bench.ram.peek_bytes(address, length);
        return std::count(bytes.begin(), bytes.end(), 0) < static_cast<std::ptrdiff_t>(length / 2);
    };
    CHECK(filled(first, 100));
    CHECK(filled(second, 300));
    CHECK(bench.ram.take_dirty_pages() ==
          std::vector<std::uint64_t>{page_of(bench.queue.layout().used)});  // all on one page
}

TEST_CASE("rng: a huge request gets a part", "[rng]") {
    Bench bench;
    bench.queue.chain().writable_at(GuestAddress(64 * kib), 128 * kib).submit();
    bench.device.queue_notified(0);
    const auto used = bench.queue.take_used();
    REQUIRE(used.size() == 1);
    const std::uint64_t written = used[0].written;
    CHECK(written != 0);
    REQUIRE(written < 128 * kib);
    const Bytes rest = bench.ram.peek_bytes(GuestAddress(64 * kib + written), 128 * kib - written);
    CHECK(std::count(rest.begin(), rest.end(), 0) == static_cast<std::ptrdiff_t>(rest.size()));
}

TEST_CASE("rng: a request without room gets nothing", "[rng][hostile]") {
    Bench bench;
    const Bytes text(16, 7);
    ChainBuilder chain = bench.queue.chain();
    const std::uint16_t head = chain.readable(text).submit();
    bench.device.queue_notified(0);
    CHECK(bench.queue.take_used() == std::vector<UsedElement>{{head, 0}});
    CHECK(bench.ram.peek_bytes(chain.last_address(), 16) == text);
}

TEST_CASE("rng: a broken queue fails the device", "[rng][hostile]") {
    Bench bench;
    bench.queue.publish(8);
    bench.device.queue_notified(0);
    REQUIRE_FALSE(bench.transport.failures.empty());
    CHECK(bench.transport.failures[0] == "a descriptor index is outside its table");
    CHECK(bench.transport.interrupts == 0);
}
