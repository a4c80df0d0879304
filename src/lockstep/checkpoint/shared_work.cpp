// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/shared_work.h"

#include "base/thread_name.h"

namespace fmvm::lockstep {

SharedWork::SharedWork()
    : helper_([this] {
          name_thread("copying");
          help();
      }) {}

SharedWork::~SharedWork() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    helper_.join();
}

void SharedWork::run(std::size_t count, const OutgoingMessage& piece) {
    {
        const std::lock_guard lock(mutex_);
        piece_ = &piece;
        count_ = count;
        next_ = 0;
    }
    changed_.notify_all();
    take_pieces(count, piece);
    std::unique_lock lock(mutex_);
    piece_ = nullptr;  // a helper that comes now comes too late
    changed_.wait(lock, [this] { return !helping_; });
}

void SharedWork::help() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return ending_ || piece_ != nullptr; });
        if (ending_) return;
        helping_ = true;
        const OutgoingMessage& piece = *piece_;
        const std::size_t count = count_;
        lock.unlock();
        take_pieces(count, piece);
        lock.lock();
        piece_ = nullptr;
        helping_ = false;
        changed_.notify_all();
    }
}

void SharedWork::take_pieces(std::size_t count, const OutgoingMessage& piece) {
    for (std::size_t index = next_++; index < count; index = next_++)
        piece(index);
}

}  // namespace fmvm::lockstep
