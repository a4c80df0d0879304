// SPDX-License-Identifier: Apache-2.0
// A thread on which an arbiter is asked, because a question takes as long as its medium does, and a
// shared mount that hangs may take for ever. So nobody waits for this thread without a limit: when
// its owner goes, a question that hangs is left behind with all that it owns, and its answer is
// dropped.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>

#include "lockstep/arbiter/arbiter.h"

namespace fmvm::lockstep {

class ArbiterThread {
  public:
    // What to do with the answer: something brief, on this thread, and only before stop() returns.
    using Answered = std::function<void()>;
    // Uses nothing but what it owns (the arbiter by shared_ptr): it may outlive whoever asks.
    using Question = std::function<Answered()>;

    ArbiterThread();
    ~ArbiterThread() { stop(); }
    ArbiterThread(const ArbiterThread&) = delete;
    ArbiterThread& operator=(const ArbiterThread&) = delete;

    // Any thread. One after the other, in order; none any more after stop().
    void ask(Question question);
    // Forgets questions that wait, and waits `farewell` at most for the one under way. Idempotent;
    // not from this thread.
    void stop();

    static constexpr std::chrono::milliseconds farewell{500};

  private:
    struct Shared;
    static void run(Shared& shared);
    std::shared_ptr<Shared> shared_;
    std::thread thread_;
};

// Asks one question on a thread of its own and waits for the answer, so long at most. Nothing:
// there was none. The question uses nothing but what it owns.
template <typename Answer>
std::optional<Answer> ask_for(std::chrono::milliseconds limit, std::function<Answer()> question) {
    const auto promise = std::make_shared<std::promise<Answer>>();
    std::future<Answer> answer = promise->get_future();
    ArbiterThread thread;
    thread.ask([promise, question = std::move(question)] {
        promise->set_value(question());
        return [] {};
    });
    if (answer.wait_for(limit) != std::future_status::ready) return std::nullopt;
    return answer.get();
}

}  // namespace fmvm::lockstep
