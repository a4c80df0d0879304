// SPDX-License-Identifier: Apache-2.0
#include "vmm/loop/event_loop.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "support/fake_lines.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

struct CountingPoller : Poller {
    bool poll() override {
        ++polls;
        return work-- > 0;
    }
    bool prepare_to_sleep() override {
        ++sleeps;
        return std::exchange(came_meanwhile, false);
    }
    int work = 0;
    bool came_meanwhile = false;
    int polls = 0;
    int sleeps = 0;
};

std::unique_ptr<EventWatch> make_watch(EventLoop& loop, std::function<void()> handler) {
    return std::make_unique<EventWatch>(loop, create_eventfd().value(), std::move(handler));
}

}  // namespace

TEST_CASE("event loop: tasks run in order, those of before the start too", "[loop]") {
    EventLoop loop;
    std::vector<int> order;
    for (int i = 0; i < 50; ++i)
        loop.post([&order, i] { order.push_back(i); });
    loop.start();
    for (int i = 50; i < 100; ++i)
        loop.post([&order, i] { order.push_back(i); });
    loop.run_sync([&] { order.push_back(100); });
    REQUIRE(order.size() == 101);
    CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("event loop: tasks of each thread stay in order", "[loop][threads]") {
    EventLoop loop;
    loop.start();
    std::vector<int> last(4, -1);
    std::atomic<int> disorder{0};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < last.size(); ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 500; ++i) {
                loop.post([&, t, i] { disorder += std::exchange(last[t], i) == i - 1 ? 0 : 1; });
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    loop.run_sync([] {});
    CHECK(disorder == 0);
    CHECK(last == std::vector<int>(4, 499));
}

TEST_CASE("event loop: run_sync runs on the loop and has run when it returns", "[loop][threads]") {
    EventLoop loop;
    loop.start();
    std::thread::id id;
    loop.run_sync([&] { id = std::this_thread::get_id(); });
    CHECK(id != std::this_thread::get_id());
    std::thread::id again;
    loop.run_sync([&] { again = std::this_thread::get_id(); });
    CHECK(again == id);
}

TEST_CASE("event loop: a task may post tasks", "[loop]") {
    EventLoop loop;
    loop.start();
    std::atomic<int> depth{0};
    std::function<void()> deeper = [&] {
        if (++depth < 100) loop.post(deeper);
    };
    loop.post(deeper);
    CHECK(eventually([&] { return depth == 100; }));
    loop.stop();
}

TEST_CASE("event loop: stop ends it, twice too, and drops what waits", "[loop]") {
    EventLoop loop;
    loop.start();
    loop.run_sync([] {});
    loop.stop();
    bool ran = false;
    loop.post([&] { ran = true; });
    loop.stop();
    CHECK_FALSE(ran);
}

TEST_CASE("event loop: one that never started can be stopped and quiesced", "[loop]") {
    EventLoop loop;
    loop.quiesce();
    loop.resume();
    loop.stop();
    loop.quiesce();
    loop.resume();
}

TEST_CASE("event loop: nothing runs while it is quiesced", "[loop][threads]") {
    EventLoop loop;
    loop.start();
    std::atomic<bool> stop{false};
    std::atomic<int> posted{0};
    int ran = 0;  // not atomic on purpose: the quiesced loop is what orders the accesses
    std::thread poster([&] {
        while (!stop) {
            loop.post([&] { ++ran; });
            ++posted;
            std::this_thread::yield();
        }
    });
    for (int i = 0; i < 300; ++i) {
        loop.quiesce();
        const int before = ran;
        std::this_thread::yield();
        CHECK(ran == before);
        loop.resume();
        if (i % 3 == 0) loop.run_sync([] {});  // otherwise quiesce again before it has woken
    }
    stop = true;
    poster.join();
    loop.run_sync([] {});
    CHECK(ran == posted);
}

TEST_CASE("event loop: pollers are looked at until they have nothing left", "[loop]") {
    EventLoop loop;
    CountingPoller poller;
    poller.work = 100;
    poller.came_meanwhile = true;
    loop.add_poller(poller);
    loop.start();
    loop.run_sync([] {});
    REQUIRE(eventually([&] {
        bool drained = false;
        loop.run_sync([&] { drained = poller.work < 0 && poller.sleeps > 0; });
        return drained;
    }));
    loop.stop();
    CHECK(poller.polls > 100);
    CHECK(poller.sleeps > 0);
    CHECK_FALSE(poller.came_meanwhile);
}

TEST_CASE("event loop: pollers can be made to look, although nobody told them of work", "[loop]") {
    EventLoop loop;
    CountingPoller poller;
    loop.add_poller(poller);
    loop.start();
    const auto polls = [&] {
        int count = 0;
        loop.run_sync([&] { count = static_cast<int>(poller.polls); });
        return count;
    };
    const int before = polls();
    loop.poll_once();
    CHECK(polls() > before);
    loop.stop();
}

TEST_CASE("event loop: work that comes on the way to sleep is done without a wake-up", "[loop]") {
    struct Shy : Poller {
        bool poll() override {
            polls = polls + 1;
            return false;
        }
        bool prepare_to_sleep() override { return polls < 50; }
        std::atomic<int> polls{0};
    };
    EventLoop loop;
    Shy poller;
    loop.add_poller(poller);
    loop.start();
    CHECK(eventually([&] { return poller.polls >= 50; }));
    loop.stop();
}

// A disk that is never idle must not keep the loop from a reset, a cut or the console.
TEST_CASE("event loop: a poller that always has work starves nobody", "[loop]") {
    struct Busy : Poller {
        bool poll() override { return busy; }
        bool prepare_to_sleep() override { return false; }
        std::atomic<bool> busy{true};
    };
    EventLoop loop;
    Busy poller;
    loop.add_poller(poller);
    loop.start();
    std::atomic<bool> ran{false};
    loop.post([&] { ran = true; });
    CHECK(eventually([&] { return ran.load(); }));
    poller.busy = false;
    loop.stop();
}

TEST_CASE("event watch: every signal is seen", "[loop]") {
    EventLoop loop;
    FakeIrq seen;
    const auto watch = make_watch(loop, [&] { seen.raise(); });
    loop.start();
    std::size_t count = 0;
    for (int i = 0; i < 20; ++i) {
        watch->signal();
        CHECK(seen.wait_for_edge(count));
    }
    loop.stop();
}

TEST_CASE("event watch: a signal from before the start", "[loop]") {
    EventLoop loop;
    std::atomic<bool> seen{false};
    const auto watch = make_watch(loop, [&] { seen = true; });
    watch->signal();
    loop.start();
    CHECK(eventually([&] { return seen.load(); }));
    loop.stop();
}

TEST_CASE("event watch: destroyed while it is signalled", "[loop]") {
    EventLoop loop;
    loop.start();
    bool seen_after = false;
    for (int i = 0; i < 50; ++i) {
        std::unique_ptr<EventWatch> watch;
        bool gone = false;
        loop.run_sync([&] { watch = make_watch(loop, [&] { seen_after |= gone; }); });
        watch->signal();
        loop.run_sync([&] {
            watch.reset();
            gone = true;
        });
        loop.run_sync([] {});
    }
    CHECK_FALSE(seen_after);
}

TEST_CASE("event watch: destroyed by its own handler", "[loop]") {
    EventLoop loop;
    FakeIrq done;
    std::unique_ptr<EventWatch> watch;
    std::vector<int> captured(1000, 7);  // large, so that the handler lives on the heap
    int sum = 0;
    watch = make_watch(loop, [&watch, &done, &sum, captured] {
        watch.reset();
        for (const int value : captured)
            sum += value;
        done.raise();
    });
    watch->signal();
    loop.start();
    std::size_t seen = 0;
    CHECK(done.wait_for_edge(seen));
    loop.stop();
    CHECK(sum == 7000);
}

TEST_CASE("event watch: goes after the loop has stopped", "[loop]") {
    EventLoop loop;
    loop.start();
    std::unique_ptr<EventWatch> watch;
    loop.run_sync([&] { watch = make_watch(loop, [] {}); });
    loop.stop();
    watch->signal();
    watch.reset();
}
