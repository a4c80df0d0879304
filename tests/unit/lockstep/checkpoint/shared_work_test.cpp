// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/shared_work.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <set>
#include <vector>

using namespace fmvm::lockstep;

TEST_CASE("shared work: each part is done once, whoever does it", "[work]") {
    SharedWork work;
    for (std::size_t count = 0; count < 300; ++count) {
        std::vector<std::atomic<int>> done(count);
        work.run(count, [&](std::size_t index) { ++done[index]; });
        for (const std::atomic<int>& times : done)
            REQUIRE(times == 1);
    }
}

TEST_CASE("shared work: the helper helps", "[work]") {
    SharedWork work;
    std::mutex mutex;
    std::set<std::thread::id> threads;
    std::condition_variable changed;
    // Each of two parts waits for the other to be begun.
    work.run(2, [&](std::size_t) {
        std::unique_lock lock(mutex);
        threads.insert(std::this_thread::get_id());
        changed.notify_all();
        changed.wait_for(lock, std::chrono::seconds(20), [&] { return threads.size() == 2; });
    });
    CHECK(threads.size() == 2);
    CHECK(threads.count(std::this_thread::get_id()) == 1);
}

TEST_CASE("shared work: what it works on may go away as soon as it is done", "[work]") {
    SharedWork work;
    for (int round = 0; round < 2000; ++round) {
        auto sum = std::make_unique<std::atomic<int>>(0);
        work.run(5, [&](std::size_t index) { *sum += static_cast<int>(index); });
        REQUIRE(*sum == 10);
    }
}
