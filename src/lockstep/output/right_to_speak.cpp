// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/right_to_speak.h"

#include <fcntl.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <thread>
#include <utility>

#include "base/log.h"

namespace fmvm::lockstep {

namespace {

using Clock = std::chrono::steady_clock;

// Output that is withheld for so long is told of.
constexpr std::chrono::milliseconds wait_patience{500};
// Whoever waits while the loop stands looks again so soon.
constexpr std::chrono::milliseconds look_again{1};

}  // namespace

struct RightToSpeak::OnLoop {
    explicit OnLoop(EventLoop& loop) : timer(loop.context()) {}
    boost::asio::steady_timer timer;
    std::unique_ptr<EventWatch> renewed;
    TaskScope tasks;  // last: they use the rest
};

RightToSpeak::RightToSpeak(EventLoop& loop, OutputPermit& arbiter, std::shared_ptr<PairPermit> pair,
                           Limits limits, Now now)
    : loop_(loop),
      arbiter_(arbiter),
      pair_(std::move(pair)),
      limits_(limits),
      now_(std::move(now)),
      on_loop_(std::make_unique<OnLoop>(loop)) {
    loop_.post(on_loop_->tasks.bind([this] {
        UniqueFd renewed(::fcntl(pair_->renewed(), F_DUPFD_CLOEXEC, 0));
        if (renewed)
            on_loop_->renewed =
                std::make_unique<EventWatch>(loop_, std::move(renewed), [this] { handler_(); });
    }));
}

RightToSpeak::~RightToSpeak() {
    on_loop_->tasks.end();
}

void RightToSpeak::on_answer(std::function<void()> handler) {
    handler_ = std::move(handler);
    arbiter_.on_answer(handler_);
}

RightToSpeak::Permit RightToSpeak::ask(std::chrono::milliseconds patience) {
    const auto deadline = Clock::now() + patience;
    while (true) {
        const auto left = std::chrono::floor<std::chrono::milliseconds>(deadline - Clock::now());
        const std::optional<Permit> permit = without_arbiter();
        if (!permit) {
            const bool alone = pair_->right() == PairPermit::Right::alone;
            return arbiter_.ask(std::max(left, std::chrono::milliseconds(0)),
                                alone ? answer_valid_for : limits_.ending_valid_for);
        }
        if (permit == Permit::granted || left.count() <= 0) return *permit;
        std::this_thread::sleep_for(std::min(left, look_again));
    }
}

std::optional<RightToSpeak::Permit> RightToSpeak::without_arbiter() {
    const BootTime now = now_();
    if (now >= limits_.speak_from) {
        const PairPermit::Right right = pair_->right();
        if (right == PairPermit::Right::none) return Permit::revoked;
        if (right != PairPermit::Right::promises) {
            goes_on();
            return std::nullopt;
        }
        if (pair_->allows(now)) {
            goes_on();
            return Permit::granted;
        }
        pair_->want();
    }
    withhold();
    return Permit::withheld;
}

void RightToSpeak::goes_on() {
    waiting_since_.reset();
    if (const auto lasted = waiting_.over(Clock::now()))
        log::notice("output", "output goes on; it waited for {}", *lasted);
}

void RightToSpeak::withhold() {
    if (!waiting_since_) waiting_since_ = Clock::now();
    if (std::exchange(looks_, true)) return;
    loop_.post(on_loop_->tasks.bind([this] { look_at_wait(); }));
}

// Loop thread. A wait for a time ends by this; one for a promise by its event.
void RightToSpeak::look_at_wait() {
    looks_ = waiting_since_.has_value();
    if (!looks_) return;
    const auto now = Clock::now();
    if (now - *waiting_since_ >= wait_patience) {
        if (const auto why = waiting_.is(reason(), now))
            log::warning("output", "the guest's output waits: {}", *why);
    }
    const auto silent = limits_.speak_from - now_();
    const bool for_time = silent > std::chrono::nanoseconds(0);
    on_loop_->timer.expires_after(
        for_time ? std::min<std::chrono::nanoseconds>(silent, wait_patience) : wait_patience);
    on_loop_->timer.async_wait(on_loop_->tasks.bind([this](const boost::system::error_code& error) {
        if (error) return;
        handler_();
        look_at_wait();
    }));
}

std::string RightToSpeak::reason() const {
    const auto silent = limits_.speak_from - now_();
    if (silent <= std::chrono::nanoseconds(0)) return pair_->why_not();
    return "whoever ran this guest before may speak until it has seen that this side goes on";
}

}  // namespace fmvm::lockstep
