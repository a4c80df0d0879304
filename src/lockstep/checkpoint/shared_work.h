// SPDX-License-Identifier: Apache-2.0
// Work that two threads do at once: the caller, and a helper that sleeps between two works. For the
// time while the guest stands, when the CPU of its vCPU is idle.
//
// Threads: run() from one thread at a time.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "base/mutex.h"

namespace fmvm::lockstep {

class SharedWork {
  public:
    SharedWork();
    ~SharedWork();
    SharedWork(const SharedWork&) = delete;
    SharedWork& operator=(const SharedWork&) = delete;

    using Part = std::function<void(std::size_t index)>;
    // Calls part(index) once for each index below `count`, on either thread, and returns when all
    // of them are done. A helper that is late leaves the work to the caller.
    void run(std::size_t count, const Part& part);

  private:
    void help();
    void do_parts(std::size_t count, const Part& part);

    Mutex mutex_;
    Condition changed_;
    const Part* part_ FMVM_GUARDED_BY(mutex_) = nullptr;  // of the work under way
    std::size_t count_ FMVM_GUARDED_BY(mutex_) = 0;
    bool helping_ FMVM_GUARDED_BY(mutex_) = false;
    bool ending_ FMVM_GUARDED_BY(mutex_) = false;
    std::atomic<std::size_t> next_{0};
    std::thread helper_;
};

}  // namespace fmvm::lockstep
