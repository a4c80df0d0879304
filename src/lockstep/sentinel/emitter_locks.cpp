// SPDX-License-Identifier: Apache-2.0
#include "lockstep/sentinel/emitter_locks.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "base/check.h"

namespace fmvm::lockstep {

namespace {

void make_robust(pthread_mutex_t& lock) {
    pthread_mutexattr_t attributes;
    FMVM_CHECK(::pthread_mutexattr_init(&attributes) == 0);
    FMVM_CHECK(::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
    FMVM_CHECK(::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    FMVM_CHECK(::pthread_mutex_init(&lock, &attributes) == 0);
    FMVM_CHECK(::pthread_mutexattr_destroy(&attributes) == 0);
}

// Waits for it. Whether its owner has died with it.
bool take(pthread_mutex_t& lock) {
    const int result = ::pthread_mutex_lock(&lock);
    FMVM_CHECK(result == 0 || result == EOWNERDEAD);
    return result == EOWNERDEAD;
}

// This process counts as dead, so that its threads must not emit any more.
[[noreturn]] void stand_still() {
    while (true)
        ::pause();
}

}  // namespace

// What a thread holds. Its end gives it back, unless the thread dies.
class EmitterLocks::Holding {
  public:
    Holding() = default;
    Holding(const Holding&) = delete;
    Holding& operator=(const Holding&) = delete;
    ~Holding() { release(); }

    bool is_of(const EmitterLocks& locks) const { return locks_.get() == &locks; }
    void begin(std::shared_ptr<EmitterLocks> locks, pthread_mutex_t& lock) {
        release();
        locks_ = std::move(locks);
        lock_ = &lock;
    }

  private:
    void release() {
        if (lock_ != nullptr)
            FMVM_CHECK(::pthread_mutex_unlock(std::exchange(lock_, nullptr)) == 0);
        locks_.reset();
    }

    std::shared_ptr<EmitterLocks> locks_;  // keeps the memory of the lock
    pthread_mutex_t* lock_ = nullptr;
};

EmitterLocks::Holding& EmitterLocks::of_this_thread() {
    static thread_local Holding holding;
    return holding;
}

Result<std::shared_ptr<EmitterLocks>> EmitterLocks::create() {
    void* const memory =
        ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return errno_error(errno, "no memory can be shared");
    std::shared_ptr<EmitterLocks> locks(new EmitterLocks(*new (memory) Page));
    FMVM_CHECK(!take(locks->page_.locks[0]));
    locks->hold(locks->page_.locks[0]);
    return locks;
}

EmitterLocks::EmitterLocks(Page& page) : page_(page) {
    for (pthread_mutex_t& lock : page_.locks)
        make_robust(lock);
}

EmitterLocks::~EmitterLocks() {
    ::munmap(&page_, sizeof(Page));
}

void EmitterLocks::hold(pthread_mutex_t& lock) {
    of_this_thread().begin(shared_from_this(), lock);
}

// A lock whose owner has died was taken by wait_for_end() in a process that is gone since.
void EmitterLocks::hold() {
    if (of_this_thread().is_of(*this)) return;
    for (std::size_t i = 1; i < page_.locks.size(); ++i) {
        const int result = ::pthread_mutex_trylock(&page_.locks[i]);
        if (result == 0) return hold(page_.locks[i]);
        if (result == EOWNERDEAD) stand_still();
        FMVM_CHECK(result == EBUSY);
    }
    if (take(page_.locks[1])) stand_still();
    hold(page_.locks[1]);
}

EmitterLocks::End EmitterLocks::wait_for_end() {
    if (!take(page_.locks[0])) {
        FMVM_CHECK(::pthread_mutex_unlock(&page_.locks[0]) == 0);
        return End::orderly;
    }
    for (std::size_t i = 1; i < page_.locks.size(); ++i)
        take(page_.locks[i]);
    return End::died;
}

}  // namespace fmvm::lockstep
