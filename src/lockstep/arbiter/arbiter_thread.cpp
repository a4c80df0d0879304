// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/arbiter_thread.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "base/thread_name.h"

namespace fmvm::lockstep {

// Lives as long as the thread, which may have been left behind.
struct ArbiterThread::Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Question> questions;
    bool stopping = false;
    bool answering = false;
    bool ended = false;
};

ArbiterThread::ArbiterThread()
    : shared_(std::make_shared<Shared>()), thread_([shared = shared_] {
          name_thread("arbiter");
          run(*shared);
      }) {}

void ArbiterThread::ask(Question question) {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->stopping) return;
    shared_->questions.push_back(std::move(question));
    shared_->changed.notify_all();
}

void ArbiterThread::stop() {
    if (!thread_.joinable()) return;
    std::unique_lock lock(shared_->mutex);
    shared_->stopping = true;
    shared_->changed.notify_all();
    const bool ended = shared_->changed.wait_for(lock, farewell, [this] { return shared_->ended; });
    shared_->changed.wait(lock, [this] { return !shared_->answering; });
    lock.unlock();
    if (ended) {
        thread_.join();
    } else {
        thread_.detach();
    }
}

void ArbiterThread::run(Shared& shared) {
    std::unique_lock lock(shared.mutex);
    while (true) {
        shared.changed.wait(lock, [&] { return shared.stopping || !shared.questions.empty(); });
        if (shared.stopping) break;
        Question question = std::move(shared.questions.front());
        shared.questions.pop_front();
        lock.unlock();
        const Answered answered = question();
        lock.lock();
        if (shared.stopping) break;
        shared.answering = true;
        lock.unlock();
        answered();
        lock.lock();
        shared.answering = false;
        shared.changed.notify_all();
    }
    shared.ended = true;
    shared.changed.notify_all();
}

}  // namespace fmvm::lockstep
