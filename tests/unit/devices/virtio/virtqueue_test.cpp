// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/virtqueue.h"

#include <catch2/catch.hpp>
#include <string>

#include "support/queue_bench.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

// A queue of 8 at these places; why it broke on one request, or "".
std::string breaks(GuestRam& ram, const FakeQueue::Places& places, bool event_index = false) {
    FakeQueue queue(ram, 8, places);
    Virtqueue::State state;
    state.layout = queue.layout();
    state.event_index = event_index;
    Virtqueue device(ram.memory(), state);
    queue.chain().readable_at(GuestAddress(0x2000), 4).submit();
    if (std::optional<DescriptorChain> chain = device.pop()) device.push(std::move(*chain), 0);
    static_cast<void>(device.needs_interrupt());
    static_cast<void>(device.enable_notifications());
    CHECK_FALSE((device.broken() && device.has_available()));
    return device.broken_reason();
}

}  // namespace

TEST_CASE("queue: requests in, used elements out", "[virtio]") {
    QueueBench bench;
    CHECK_FALSE(bench.device.has_available());
    CHECK_FALSE(bench.device.pop());
    const std::uint16_t first = bench.submit();
    const std::uint16_t second = bench.submit();
    CHECK(bench.device.has_available());
    CHECK(bench.serve(11) == first);
    CHECK(bench.serve(0) == second);
    CHECK_FALSE(bench.device.has_available());
    CHECK(bench.queue.take_used() == std::vector<UsedElement>{{first, 11}, {second, 0}});
}

TEST_CASE("queue: requests may come back in another order", "[virtio]") {
    QueueBench bench;
    const std::uint16_t first = bench.submit();
    const std::uint16_t second = bench.submit();
    std::optional<DescriptorChain> a = bench.device.pop();
    std::optional<DescriptorChain> b = bench.device.pop();
    REQUIRE((a && b));
    bench.device.push(std::move(*b), 2);
    bench.device.push(std::move(*a), 1);
    CHECK(bench.queue.take_used() == std::vector<UsedElement>{{second, 2}, {first, 1}});
}

TEST_CASE("queue: rings of every size, through the wrap of both indices", "[virtio]") {
    const auto size = GENERATE(values<std::uint16_t>({1, 2, 8, 256, 0x8000}));
    GuestRam ram(2 * mib);
    FakeQueue queue(ram, size);
    queue.start_at(0xfffe);
    Virtqueue::State state;
    state.layout = queue.layout();
    state.next_available = state.next_used = 0xfffe;
    Virtqueue device(ram.memory(), state);
    for (std::uint32_t i = 0; i < 5; ++i) {
        const std::uint16_t head = queue.chain().readable_at(GuestAddress(0x2000), 4).submit();
        std::optional<DescriptorChain> chain = device.pop();
        REQUIRE(chain);
        device.push(std::move(*chain), i);
        CHECK(queue.take_used() == std::vector<UsedElement>{{head, i}});
    }
    CHECK(queue.used_index() == 3);
    CHECK(device.state().next_available == 3);
    CHECK_FALSE(device.broken());
}

TEST_CASE("queue: a full ring is served, one more is a jump", "[virtio][hostile]") {
    const auto start = GENERATE(values<std::uint16_t>({0, 0xfffd}));
    const auto extra = GENERATE(values<std::uint16_t>({0, 1, 100, 0x7fff}));
    QueueBench at(8, false, start);
    at.queue.set_descriptor(0, {0x2000, 4, 0, 0});
    at.queue.set_available_index(static_cast<std::uint16_t>(start + 8 + extra));
    if (extra == 0) {
        for (int i = 0; i < 8; ++i)
            at.serve();
        CHECK_FALSE(at.device.has_available());
        CHECK_FALSE(at.device.broken());
    } else {
        CHECK_FALSE(at.device.pop());
        CHECK(std::string(at.device.broken_reason()) == "the available index jumped");
    }
}

TEST_CASE("queue: an available index that moves backwards is a jump", "[virtio][hostile]") {
    QueueBench bench;
    bench.submit();
    bench.serve();
    bench.queue.set_available_index(0);
    CHECK_FALSE(bench.device.has_available());
    CHECK(bench.device.broken());
}

TEST_CASE("queue: broken stays broken and touches nothing", "[virtio][hostile]") {
    QueueBench bench;
    bench.submit();
    bench.submit();
    std::optional<DescriptorChain> in_flight = bench.device.pop();
    REQUIRE(in_flight);
    CHECK_FALSE(bench.device.fail("test"));
    static_cast<void>(bench.ram.take_dirty_pages());
    CHECK_FALSE(bench.device.has_available());
    CHECK_FALSE(bench.device.pop());
    bench.device.push(std::move(*in_flight), 1);
    CHECK_FALSE(bench.device.needs_interrupt());
    CHECK_FALSE(bench.device.enable_notifications());
    bench.device.disable_notifications();
    CHECK(bench.ram.take_dirty_pages().empty());
    CHECK(bench.queue.take_used().empty());
    CHECK(bench.device.state().broken);
}

TEST_CASE("queue: a head that is offered again before its chain was returned",
          "[virtio][hostile]") {
    QueueBench bench;
    const std::uint16_t head = bench.submit();
    std::optional<DescriptorChain> chain = bench.device.pop();
    REQUIRE(chain);
    SECTION("breaks the queue") {
        bench.queue.publish(head);
        CHECK_FALSE(bench.device.pop());
        CHECK_THAT(bench.device.broken_reason(), Catch::Contains("offered again"));
        CHECK(bench.device.state().next_available == 1);
        bench.device.push(std::move(*chain), 0);
    }
    SECTION("is as good as another afterwards") {
        bench.device.push(std::move(*chain), 0);
        bench.queue.publish(head);
        CHECK(bench.serve() == head);
    }
    SECTION("breaks the queue of a device that goes on with it") {
        Virtqueue next(bench.ram.memory(), bench.device.state());
        DescriptorChain back = next.take_back(head);
        CHECK(back.head() == head);
        bench.queue.publish(head);
        CHECK_FALSE(next.pop());
        CHECK(next.broken());
        next.push(std::move(back), 0);
        chain->abandon();
    }
}

TEST_CASE("queue: rings that are not in RAM or straddle its end", "[virtio][hostile]") {
    GuestRam ram(64 * kib);
    const GuestAddress end = ram.end();
    const FakeQueue::Places good{GuestAddress(0x4000), GuestAddress(0x5000), GuestAddress(0x6000)};
    CHECK(breaks(ram, good).empty());

    const GuestAddress outside = GENERATE_REF(values<GuestAddress>(
        {end, end + 0x1000, GuestAddress(~0ULL & ~15ULL), GuestAddress(1ULL << 63)}));
    FakeQueue::Places places = good;
    SECTION("descriptor table") {
        places.descriptors = outside;
        CHECK(breaks(ram, places) == "a descriptor table is not in guest memory");
    }
    SECTION("available ring") {
        places.available = outside;
        CHECK(breaks(ram, places) == "the available ring is not in guest memory");
    }
    SECTION("used ring") {
        places.used = outside;
        CHECK(breaks(ram, places) == "the used ring is not in guest memory");
    }
}

TEST_CASE("queue: rings cut by the end of RAM", "[virtio][hostile]") {
    GuestRam ram(64 * kib);
    const GuestAddress end = ram.end();
    const auto before_end = [&](std::uint64_t bytes) { return GuestAddress(end.value() - bytes); };
    const bool event_index = GENERATE(false, true);
    FakeQueue::Places places{GuestAddress(0x4000), GuestAddress(0x5000), GuestAddress(0x6000)};
    SECTION("half a descriptor") {
        places.descriptors = before_end(8);
        CHECK(breaks(ram, places, event_index) == "a descriptor table is not in guest memory");
    }
    SECTION("available flags, but no index") {
        places.available = before_end(2);
        CHECK(breaks(ram, places, event_index) == "the available ring is not in guest memory");
    }
    SECTION("available index, but no entries") {
        places.available = before_end(4);
        CHECK(breaks(ram, places, event_index) == "the available ring is not in guest memory");
    }
    SECTION("available entries, but no used_event") {
        places.available = before_end(4 + 8 * 2);
        CHECK(breaks(ram, places, event_index) ==
              (event_index ? "the available ring is not in guest memory" : ""));
    }
    SECTION("used index, but no entries") {
        places.used = before_end(4);
        CHECK(breaks(ram, places, event_index) == "the used ring is not in guest memory");
    }
    SECTION("half a used entry") {
        places.used = before_end(8);
        CHECK(breaks(ram, places, event_index) == "the used ring is not in guest memory");
    }
    SECTION("used entries, but no avail_event") {
        places.used = before_end(4 + 8 * 8);
        CHECK(breaks(ram, places, event_index) ==
              (event_index ? "the used ring is not in guest memory" : ""));
    }
}

TEST_CASE("queue: rings at odd addresses", "[virtio][hostile]") {
    GuestRam ram(64 * kib);
    FakeQueue::Places places{GuestAddress(0x4000), GuestAddress(0x5000), GuestAddress(0x6000)};
    SECTION("available") {
        places.available = GuestAddress(0x5001);
        CHECK(breaks(ram, places) == "the available ring is not in guest memory");
    }
    SECTION("used") {
        places.used = GuestAddress(0x6001);
        CHECK(breaks(ram, places) == "the used ring is not in guest memory");
    }
}

TEST_CASE("queue: rings on top of each other break nothing but the queue", "[virtio][hostile]") {
    GuestRam ram(64 * kib);
    const GuestAddress same(0x4000);
    static_cast<void>(breaks(ram, {same, same, same}));
    static_cast<void>(breaks(ram, {same, same, same}, true));
    static_cast<void>(breaks(ram, {same, same + 2, same + 4}, true));
}

TEST_CASE("queue: dirty marks are the used ring's pages alone", "[virtio]") {
    GuestRam ram(64 * kib);
    FakeQueue queue(ram, 8, {GuestAddress(0x4000), GuestAddress(0x5000), GuestAddress(0x6000)});
    Virtqueue::State state;
    state.layout = queue.layout();
    state.event_index = true;
    Virtqueue device(ram.memory(), state);
    queue.chain().readable_at(GuestAddress(0x2000), 4).submit();
    std::optional<DescriptorChain> chain = device.pop();
    REQUIRE(chain);
    CHECK(device.needs_interrupt());
    CHECK(ram.take_dirty_pages().empty());
    device.push(std::move(*chain), 0);
    CHECK(ram.take_dirty_pages() == std::vector<std::uint64_t>{6});
    device.enable_notifications();
    CHECK(ram.take_dirty_pages() == std::vector<std::uint64_t>{6});
}

TEST_CASE("queue: a rebuilt queue goes on where the old one stopped", "[virtio]") {
    QueueBench bench(8, true, 0xffff);
    bench.queue.set_used_event(0xffff);
    const std::uint16_t first = bench.submit();
    const std::uint16_t second = bench.submit();
    CHECK(bench.serve(1) == first);
    CHECK(bench.device.needs_interrupt());

    Virtqueue rebuilt(bench.ram.memory(), bench.device.state());
    std::optional<DescriptorChain> chain = rebuilt.pop();
    REQUIRE(chain);
    CHECK(chain->head() == second);
    rebuilt.push(std::move(*chain), 2);
    CHECK_FALSE(rebuilt.needs_interrupt());  // it remembers what was signalled
    CHECK(bench.queue.take_used() == std::vector<UsedElement>{{first, 1}, {second, 2}});
}
