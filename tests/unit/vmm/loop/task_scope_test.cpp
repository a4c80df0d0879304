// SPDX-License-Identifier: Apache-2.0
#include "vmm/loop/task_scope.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "support/fake_lines.h"

using namespace fmvm;
using namespace fmvm::test;

TEST_CASE("a bound task runs while its scope lasts, and does nothing from then on", "[loop]") {
    int ran = 0;
    auto scope = std::make_unique<TaskScope>();
    const auto task = scope->bind([&ran] { ++ran; });
    auto before = task;
    before();
    before();
    CHECK(ran == 2);
    scope->end();
    before();
    scope.reset();
    before();
    auto after = task;
    after();
    CHECK(ran == 2);
}

TEST_CASE("a bound task takes its arguments as they come", "[loop]") {
    const TaskScope scope;
    std::string got;
    auto task = scope.bind([&got](std::unique_ptr<std::string> text, const int& number) {
        got = *text + std::to_string(number);
    });
    task(std::make_unique<std::string>("a"), 7);
    CHECK(got == "a7");
    // What cannot be copied may be bound, too.
    auto only_moved =
        scope.bind([&got, text = std::make_unique<std::string>("b")] { got = *text; });
    auto moved = std::move(only_moved);
    moved();
    CHECK(got == "b");
}

TEST_CASE("a scope that ends leaves those of others alone", "[loop]") {
    const TaskScope other;
    int ran = 0;
    auto task = other.bind([&ran] { ++ran; });
    TaskScope().end();
    task();
    CHECK(ran == 1);
}

TEST_CASE("a task may destroy the owner of its scope", "[loop]") {
    struct Owner {
        explicit Owner(bool& flag) : destroyed(flag) {}
        ~Owner() { destroyed = true; }
        bool& destroyed;
        TaskScope tasks;
    };
    bool destroyed = false;
    auto owner = std::make_unique<Owner>(destroyed);
    std::function<void()> task = owner->tasks.bind([&owner] { owner.reset(); });
    task();
    CHECK(destroyed);
    task();
}

TEST_CASE("whoever ends a scope waits for a task that runs on another thread", "[loop][threads]") {
    std::atomic<bool> runs{false};
    std::atomic<bool> may_end{false};
    std::atomic<bool> task_ended{false};
    std::atomic<bool> scope_ended{false};
    bool task_was_first = false;
    TaskScope scope;
    std::thread runner([&, task = scope.bind([&] {
        runs = true;
        while (!may_end)
            std::this_thread::yield();
        task_ended = true;
    })]() mutable { task(); });
    REQUIRE(eventually([&] { return runs.load(); }));
    std::thread ender([&] {
        scope.end();
        task_was_first = task_ended;
        scope_ended = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK_FALSE(scope_ended);
    may_end = true;
    runner.join();
    ender.join();
    CHECK(task_was_first);
}

TEST_CASE("no task of a scope runs after its end, on whichever thread", "[loop][threads]") {
    for (int round = 0; round < 200; ++round) {
        auto value = std::make_unique<int>(0);  // what a task that is too late would use
        TaskScope scope;
        std::atomic<bool> stop{false};
        std::atomic<bool> began{false};
        std::thread runner([&, task = scope.bind([&] { ++*value; })]() mutable {
            while (!stop) {
                task();
                began = true;
            }
        });
        while (!began)
            std::this_thread::yield();
        scope.end();
        value.reset();
        stop = true;
        runner.join();
    }
}
