// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/arbiter_thread.h"

#include <deque>
#include <utility>

#include "base/mutex.h"
#include "base/thread.h"

namespace fmvm::lockstep {

// Lives as long as the thread, which may have been left behind.
struct ArbiterThread::Shared {
    Mutex mutex;
    Condition changed;
    std::deque<Question> questions FMVM_GUARDED_BY(mutex);
    bool stopping FMVM_GUARDED_BY(mutex) = false;
    bool answering FMVM_GUARDED_BY(mutex) = false;
    bool ended FMVM_GUARDED_BY(mutex) = false;
};

ArbiterThread::ArbiterThread()
    : shared_(std::make_shared<Shared>()),
      thread_(start_thread("arbiter", [shared = shared_] { run(*shared); })) {}

void ArbiterThread::ask(Question question) {
    const Lock lock(shared_->mutex);
    if (shared_->stopping) return;
    shared_->questions.push_back(std::move(question));
    shared_->changed.notify_all();
}

void ArbiterThread::stop() {
    if (!thread_.joinable()) return;
    Lock lock(shared_->mutex);
    shared_->stopping = true;
    shared_->changed.notify_all();
    const auto deadline = std::chrono::steady_clock::now() + farewell;
    while (!shared_->ended && shared_->changed.wait_until(shared_->mutex, deadline)) {
    }
    const bool ended = shared_->ended;
    while (shared_->answering)
        shared_->changed.wait(shared_->mutex);
    lock.unlock();
    if (ended) {
        thread_.join();
    } else {
        thread_.detach();
    }
}

void ArbiterThread::run(Shared& shared) {
    Lock lock(shared.mutex);
    while (true) {
        while (!shared.stopping && shared.questions.empty())
            shared.changed.wait(shared.mutex);
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
