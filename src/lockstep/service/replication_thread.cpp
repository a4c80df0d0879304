// SPDX-License-Identifier: Apache-2.0
#include "lockstep/service/replication_thread.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <thread>

#include "base/thread.h"

namespace fmvm::lockstep {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds farewell{20};

}  // namespace

struct ReplicationThread::Parts {
    asio::io_context network{1};
    asio::io_context context{1};
    asio::steady_timer timer{context};
    ArbiterThread helper;
    ArbiterThread trial_helper;
    ArbiterThread newest_helper;
    std::function<TimePoint()> deadline;
    std::function<void()> tick;
    TimePoint armed = TimePoint::max();
    std::thread thread;
    std::thread network_thread;
};

ReplicationThread::ReplicationThread() : parts_(std::make_unique<Parts>()) {}

ReplicationThread::~ReplicationThread() {
    stop();
}

ChannelThreads ReplicationThread::channel_threads() {
    return {parts_->context, parts_->network};
}

void ReplicationThread::set_timer(std::function<TimePoint()> deadline, std::function<void()> tick) {
    parts_->deadline = std::move(deadline);
    parts_->tick = std::move(tick);
}

void ReplicationThread::start() {
    parts_->thread = start_thread("replication", [this] { run(); });
    parts_->network_thread = start_thread("network", [this] {
        const auto work = asio::make_work_guard(parts_->network);
        parts_->network.run();
    });
}

void ReplicationThread::stop() {
    parts_->helper.stop();
    parts_->trial_helper.stop();
    parts_->newest_helper.stop();
    parts_->context.stop();
    if (parts_->thread.joinable()) parts_->thread.join();
    stop_network();
}

// What was sent last (why we go) still gets a moment to leave.
void ReplicationThread::stop_network() {
    if (!parts_->network_thread.joinable()) return;
    asio::steady_timer limit(parts_->network, farewell);
    limit.async_wait([this](const boost::system::error_code&) { parts_->network.stop(); });
    parts_->network_thread.join();
}

void ReplicationThread::post(std::function<void()> task) {
    asio::post(parts_->context, std::move(task));
}

// After each handler, because any of them may have moved the deadline.
void ReplicationThread::run() {
    const auto work = asio::make_work_guard(parts_->context);
    arm();
    while (parts_->context.run_one() != 0)
        arm();
}

void ReplicationThread::arm() {
    const TimePoint due = parts_->deadline();
    if (due == parts_->armed) return;
    parts_->armed = due;
    parts_->timer.cancel();
    if (due == TimePoint::max()) return;
    const auto tick = [this](const boost::system::error_code& error) {
        if (error) return;
        parts_->armed = TimePoint::max();
        parts_->tick();
    };
    parts_->timer.expires_at(std::max(due, std::chrono::steady_clock::now()));
    parts_->timer.async_wait(tick);
}

void ReplicationThread::claim(std::shared_ptr<Arbiter> arbiter, Generation generation,
                              std::function<void(Result<Claim>)> answer) {
    parts_->helper.ask(
        [this, arbiter = std::move(arbiter), generation, answer = std::move(answer)] {
            const Result<Claim> claim = arbiter->claim(generation);
            return [this, answer, claim] { post([answer, claim] { answer(claim); }); };
        });
}

void ReplicationThread::try_claim(std::shared_ptr<Arbiter> arbiter,
                                  std::function<void(Result<void>)> answer) {
    parts_->trial_helper.ask([this, arbiter = std::move(arbiter), answer = std::move(answer)] {
        const Result<void> tried = arbiter->could_claim();
        return [this, answer, tried] { post([answer, tried] { answer(tried); }); };
    });
}

void ReplicationThread::tick(ArbiterWatch& watch, const std::shared_ptr<Arbiter>& arbiter) {
    const auto now = [] { return std::chrono::steady_clock::now(); };
    if (!watch.tick(now())) return;
    try_claim(arbiter, [&watch, now](const Result<void>& tried) { watch.answered(tried, now()); });
}

void ReplicationThread::tick(ArbiterWatch& watch, const std::shared_ptr<Arbiter>& arbiter,
                             const std::shared_ptr<const std::atomic<Generation>>& own,
                             std::function<void(Generation)> superseded) {
    const TimePoint now = std::chrono::steady_clock::now();
    if (!watch.tick(now)) return;
    parts_->newest_helper.ask([this, &watch, arbiter, own, superseded = std::move(superseded)] {
        const Generation asked = *own;
        const Result<bool> newest = arbiter->is_newest(asked);
        return [this, &watch, asked, newest, superseded] {
            post([&watch, asked, newest, superseded] {
                watch.answered(newest.ok() ? Result<void>() : newest.error(),
                               std::chrono::steady_clock::now());
                if (newest.ok() && !newest.value()) superseded(asked);
            });
        };
    });
}

}  // namespace fmvm::lockstep
