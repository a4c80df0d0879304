// SPDX-License-Identifier: Apache-2.0
// The thread on which a primary's or backup's state machine lives: an Asio loop and one timer; with
// it a network thread for its channels, and helper threads for questions to the arbiter, which may
// take as long as a shared mount takes.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>

#include "lockstep/arbiter/arbiter.h"
#include "lockstep/arbiter/arbiter_thread.h"
#include "lockstep/arbiter/arbiter_watch.h"
#include "lockstep/channel/channel_threads.h"

namespace fmvm::lockstep {

class ReplicationThread {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    ReplicationThread();
    ~ReplicationThread();  // stops
    ReplicationThread(const ReplicationThread&) = delete;
    ReplicationThread& operator=(const ReplicationThread&) = delete;

    // The loop of the thread itself, and of the one that carries its channels.
    ChannelThreads channel_threads();

    // Runs `tick` on the thread at `deadline()`, which is asked after everything that ran there
    // (max(): not at all; in the past: at once). Set before start().
    void set_timer(std::function<TimePoint()> deadline, std::function<void()> tick);
    void start();
    // Ends the thread after the handler that runs. Not from the thread itself. Idempotent.
    void stop();
    // Any thread.
    void post(std::function<void()> task);

    // Claims on the helper thread; the answer comes on this one.
    void claim(std::shared_ptr<Arbiter> arbiter, Generation generation,
               std::function<void(Result<Claim>)> answer);

    // Has the arbiter try out a claim, on a thread of its own: no claim waits for that.
    void try_claim(std::shared_ptr<Arbiter> arbiter, std::function<void(Result<void>)> answer);
    // At the watch's deadline: has a claim tried out when it says so. It lasts until stop().
    void tick(ArbiterWatch& watch, const std::shared_ptr<Arbiter>& arbiter);

    // The same with the question whether the generation, as it is when the question is put, is the
    // newest: `superseded` is called with it if it is not.
    void tick(ArbiterWatch& watch, const std::shared_ptr<Arbiter>& arbiter,
              const std::shared_ptr<const std::atomic<Generation>>& own,
              std::function<void(Generation)> superseded);

  private:
    struct Parts;
    void run();
    void arm();
    void stop_network();
    std::unique_ptr<Parts> parts_;
};

}  // namespace fmvm::lockstep
