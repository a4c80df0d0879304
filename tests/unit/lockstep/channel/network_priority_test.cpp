// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/network_priority.h"

#include <catch2/catch.hpp>
#include <thread>

#include "base/thread_priority.h"

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

constexpr std::chrono::milliseconds sign_interval{100};

// A thread of its own, whose priority nobody misses.
template <typename Task>
void on_thread(Task task) {
    std::thread(task).join();
}

}  // namespace

TEST_CASE("a connection is quiet until bulk moves, and again some time after", "[channel]") {
    on_thread([] {
        NetworkPriority priority;
        auto now = std::chrono::steady_clock::now();
        CHECK(priority.is_quiet());
        priority.moved(NetworkPriority::bulk_bytes - 1);
        priority.judge(now, sign_interval, 0);
        CHECK(priority.is_quiet());
        priority.moved(NetworkPriority::bulk_bytes);
        priority.judge(now + sign_interval / 2, sign_interval, 0);
        CHECK(priority.is_quiet());  // it is not time to judge
        now += sign_interval;
        priority.judge(now, sign_interval, 0);
        CHECK_FALSE(priority.is_quiet());
        for (unsigned i = 1; i < NetworkPriority::quiet_intervals_min; ++i) {
            now += sign_interval;
            priority.judge(now, sign_interval, 0);
            CHECK_FALSE(priority.is_quiet());
        }
        now += sign_interval;
        priority.judge(now, sign_interval, 0);
        CHECK(priority.is_quiet());
        NetworkPriority::end();
    });
}

TEST_CASE("bulk that waits to be sent is bulk, although nothing moves", "[channel]") {
    on_thread([] {
        NetworkPriority priority;
        priority.judge(std::chrono::steady_clock::now(), sign_interval,
                       NetworkPriority::bulk_bytes);
        CHECK_FALSE(priority.is_quiet());
    });
}

TEST_CASE("the network thread has its usual priority when its connection ends", "[channel]") {
    on_thread([] {
        const int usual = niceness_of(0);
        NetworkPriority priority;
        priority.judge(std::chrono::steady_clock::now(), sign_interval, 0);
        CHECK(niceness_of(0) <= usual);  // lower only where that is permitted
        NetworkPriority::end();
        CHECK(niceness_of(0) == usual);
    });
}
