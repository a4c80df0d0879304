// SPDX-License-Identifier: Apache-2.0
// Who is notified of what, and when: interrupts and notifications, by the flags and by the event
// index.
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "support/fake_lines.h"
#include "support/queue_bench.h"

using namespace fmvm;
using namespace fmvm::test;

TEST_CASE("queue: interrupts without the event index follow the flag", "[virtio][events]") {
    QueueBench bench;
    bench.submit();
    bench.serve();
    CHECK(bench.device.needs_interrupt());
    bench.queue.set_no_interrupt(true);
    CHECK_FALSE(bench.device.needs_interrupt());
    bench.queue.set_no_interrupt(false);
    CHECK(bench.device.needs_interrupt());
}

// 2.7.7.2: an interrupt exactly when the index moves past used_event, in steps of any size,
// wherever on the circle of 65536 that happens.
TEST_CASE("queue: interrupts with the event index, also at the wrap", "[virtio][events]") {
    const auto start = GENERATE(values<std::uint16_t>({0, 1000, 0xfff0, 0xfffd, 0xffff}));
    QueueBench bench(16, true, start);
    const auto serve = [&bench](int count) {
        for (int i = 0; i < count; ++i) {
            bench.submit();
            bench.serve();
        }
        return bench.device.needs_interrupt();
    };
    const auto at = [start](int offset) { return static_cast<std::uint16_t>(start + offset); };
    bench.queue.set_used_event(at(0));
    CHECK(serve(1));  // index start + 1 has passed start
    CHECK_FALSE(serve(1));
    bench.queue.set_used_event(at(4));
    CHECK_FALSE(serve(2));  // index start + 4: not past it yet
    CHECK(serve(1));
    bench.queue.set_used_event(at(7));
    CHECK(serve(5));  // 5 to 10, across it in one step
    bench.queue.set_used_event(at(9));
    CHECK_FALSE(serve(3));  // 10 to 13: it lies behind
    bench.queue.set_used_event(at(13));
    CHECK(serve(16));                             // a whole ring at once
    CHECK_FALSE(bench.device.needs_interrupt());  // nothing new
}

TEST_CASE("queue: the first interrupt is sent whatever used_event says", "[virtio][events]") {
    QueueBench bench(8, true);
    bench.queue.set_used_event(0x8000);
    bench.submit();
    bench.serve();
    CHECK(bench.device.needs_interrupt());
}

TEST_CASE("queue: notifications off and on, with the flag", "[virtio][events]") {
    QueueBench bench;
    bench.device.disable_notifications();
    CHECK(bench.queue.used_flags() == 1);
    CHECK_FALSE(bench.device.enable_notifications());
    CHECK(bench.queue.used_flags() == 0);
    bench.device.disable_notifications();
    bench.submit();  // the driver does not notify
    CHECK(bench.device.enable_notifications());
    bench.serve();
    CHECK_FALSE(bench.device.enable_notifications());
}

TEST_CASE("queue: notifications off and on, with the event index", "[virtio][events]") {
    const auto start = GENERATE(values<std::uint16_t>({0, 0xffff}));
    QueueBench bench(8, true, start);
    CHECK_FALSE(bench.device.enable_notifications());
    CHECK(bench.queue.available_event() == start);  // tell me when the index passes this
    bench.submit();
    bench.device.disable_notifications();
    CHECK(bench.queue.available_event() == start);
    CHECK(bench.device.enable_notifications());
    bench.serve();
    CHECK_FALSE(bench.device.enable_notifications());
    CHECK(bench.queue.available_event() == static_cast<std::uint16_t>(start + 1));
}

// A driver on another thread notifies only when the device asked for it (2.7.7, 2.7.10), while the
// device sleeps whenever enable_notifications() finds nothing. If one notification were lost, both
// would wait for each other for ever.
TEST_CASE("queue: no notification is lost", "[virtio][events][threads]") {
    const bool event_index = GENERATE(false, true);
    constexpr int request_count = 20000;
    QueueBench bench(4, event_index, 0xfff0);
    std::mutex mutex;
    std::condition_variable notified;
    bool pending = false;
    std::atomic<bool> give_up{false};

    std::thread driver([&] {
        const auto head = bench.queue.chain().readable_at(GuestAddress(0x2000), 4).build();
        for (int i = 0; i < request_count; ++i) {
            while (static_cast<std::uint16_t>(bench.queue.available_index() -
                                              bench.queue.used_index()) == 4) {
                if (give_up) return;
                std::this_thread::yield();
            }
            const std::uint16_t old = bench.queue.available_index();
            bench.queue.publish(head);
            if (!bench.queue.notification_wanted(old, event_index)) continue;
            const std::lock_guard lock(mutex);
            pending = true;
            notified.notify_one();
        }
    });

    int served = 0;
    bool in_time = true;
    while (served < request_count && in_time) {
        while (bench.device.has_available()) {
            bench.device.disable_notifications();
            bench.serve();
            ++served;
        }
        if (served == request_count || bench.device.enable_notifications()) continue;
        std::unique_lock lock(mutex);
        in_time = notified.wait_for(lock, wait_limit, [&] { return pending; });
        pending = false;
    }
    give_up = true;
    driver.join();
    CHECK(in_time);
    CHECK(served == request_count);
    CHECK_FALSE(bench.device.broken());
}
