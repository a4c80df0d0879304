// SPDX-License-Identifier: Apache-2.0
#include "base/mutex.h"

#include <catch2/catch.hpp>
#include <thread>

using namespace fmvm;

namespace {

struct Shared {
    Mutex mutex;
    Condition changed;
    int value FMVM_GUARDED_BY(mutex) = 0;
};

}  // namespace

TEST_CASE("a thread that waits for a condition sees what was changed under the lock", "[base]") {
    Shared shared;
    std::thread other([&] {
        const Lock lock(shared.mutex);
        shared.value = 1;
        shared.changed.notify_all();
    });
    {
        const Lock lock(shared.mutex);
        while (shared.value != 1)
            shared.changed.wait(shared.mutex);
        shared.value = 2;  // held again
    }
    other.join();
    const Lock lock(shared.mutex);
    CHECK(shared.value == 2);
}

TEST_CASE("a wait until a time that has come ends with the lock held", "[base]") {
    Shared shared;
    const auto now = std::chrono::steady_clock::now();
    Lock lock(shared.mutex);
    while (shared.changed.wait_until(shared.mutex, now)) {
    }
    shared.value = 1;
    lock.unlock();
    std::thread other([&] {
        const Lock others(shared.mutex);
        ++shared.value;
    });
    other.join();
    lock.lock();
    CHECK(shared.value == 2);
}
