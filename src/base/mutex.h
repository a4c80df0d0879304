// SPDX-License-Identifier: Apache-2.0
// The mutex, the lock and the condition variable of the standard library, known to clang's
// thread-safety analysis: libstdc++'s own are not annotated, so that nothing guarded by them would
// be checked. All of src uses these.
//
//     Mutex mutex_;
//     Condition changed_;
//     bool done_ FMVM_GUARDED_BY(mutex_) = false;
//
//     const Lock lock(mutex_);
//     while (!done_)
//         changed_.wait(mutex_);
//
// A loop and not a predicate, because the analysis looks at a lambda as a function of its own,
// which does not hold the mutex.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/thread_annotations.h"

namespace fmvm {

class FMVM_CAPABILITY("mutex") Mutex {
  public:
    Mutex() = default;
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    void lock() FMVM_ACQUIRE() { mutex_.lock(); }
    void unlock() FMVM_RELEASE() { mutex_.unlock(); }

  private:
    friend class Condition;
    std::mutex mutex_;
};

// Holds a mutex while it lives, but for the time between unlock() and lock().
class FMVM_SCOPED_CAPABILITY Lock {
  public:
    explicit Lock(Mutex& mutex) FMVM_ACQUIRE(mutex) : lock_(mutex) {}
    ~Lock() FMVM_RELEASE() = default;
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

    void unlock() FMVM_RELEASE() { lock_.unlock(); }
    void lock() FMVM_ACQUIRE() { lock_.lock(); }

  private:
    std::unique_lock<Mutex> lock_;
};

// Waiting releases the mutex and takes it again. It may end without a notification, so callers look
// at what they wait for in a loop.
class Condition {
  public:
    void notify_one() { condition_.notify_one(); }
    void notify_all() { condition_.notify_all(); }

    void wait(Mutex& mutex) FMVM_REQUIRES(mutex) {
        Adopted lock(mutex.mutex_);
        condition_.wait(lock.held);
    }
    // False when the time has come; what is waited for may have come with it.
    [[nodiscard]] bool wait_until(Mutex& mutex, std::chrono::steady_clock::time_point deadline)
        FMVM_REQUIRES(mutex) {
        Adopted lock(mutex.mutex_);
        return condition_.wait_until(lock.held, deadline) == std::cv_status::no_timeout;
    }

  private:
    // A mutex that is held before and after, as std::condition_variable wants to have it.
    struct Adopted {
        explicit Adopted(std::mutex& mutex) : held(mutex, std::adopt_lock) {}
        ~Adopted() { held.release(); }
        Adopted(const Adopted&) = delete;
        Adopted& operator=(const Adopted&) = delete;
        std::unique_lock<std::mutex> held;
    };

    std::condition_variable condition_;
};

}  // namespace fmvm
