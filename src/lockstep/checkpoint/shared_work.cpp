// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/shared_work.h"

#include "base/thread.h"

namespace fmvm::lockstep {

SharedWork::SharedWork() : helper_(start_thread("copying", [this] { help(); })) {}

SharedWork::~SharedWork() {
    {
        const Lock lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    helper_.join();
}

void SharedWork::run(std::size_t count, const Part& part) {
    {
        const Lock lock(mutex_);
        part_ = &part;
        count_ = count;
        next_ = 0;
    }
    changed_.notify_all();
    do_parts(count, part);
    const Lock lock(mutex_);
    part_ = nullptr;  // a helper that comes now comes too late
    while (helping_)
        changed_.wait(mutex_);
}

void SharedWork::help() {
    Lock lock(mutex_);
    for (;;) {
        while (!ending_ && part_ == nullptr)
            changed_.wait(mutex_);
        if (ending_) return;
        helping_ = true;
        const Part& part = *part_;
        const std::size_t count = count_;
        lock.unlock();
        do_parts(count, part);
        lock.lock();
        part_ = nullptr;
        helping_ = false;
        changed_.notify_all();
    }
}

void SharedWork::do_parts(std::size_t count, const Part& part) {
    for (std::size_t index = next_++; index < count; index = next_++)
        part(index);
}

}  // namespace fmvm::lockstep
