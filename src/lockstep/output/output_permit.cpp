// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/output_permit.h"

#include <boost/asio/steady_timer.hpp>
#include <thread>
#include <utility>

#include "base/log.h"

namespace fmvm::lockstep {

namespace {

using Clock = std::chrono::steady_clock;

// Between two questions to an arbiter that fails.
constexpr std::chrono::milliseconds retry_pause{5};
// Output that is withheld for so long is told of.
constexpr std::chrono::milliseconds answer_patience{500};

}  // namespace

struct OutputPermit::Timer {
    explicit Timer(EventLoop& loop) : timer(loop.context()) {}
    boost::asio::steady_timer timer;
    TaskScope tasks;  // last: they use the rest
};

OutputPermit::OutputPermit(EventLoop& loop, std::shared_ptr<Arbiter> arbiter,
                           std::function<Generation()> generation, Now now)
    : loop_(loop),
      arbiter_(std::move(arbiter)),
      generation_(std::move(generation)),
      now_(std::move(now)),
      timer_(std::make_unique<Timer>(loop)) {}

OutputPermit::~OutputPermit() {
    thread_.stop();
}

OutputPermit::Permit OutputPermit::ask(std::chrono::milliseconds patience,
                                       std::chrono::nanoseconds valid_for) {
    const auto deadline = Clock::now() + patience;
    const Lock lock(mutex_);
    drop_old_answer(valid_for);
    if (!answer_) put_question();
    const bool waits = patience.count() != 0;
    while (waits && !answer_ && arrived_.wait_until(mutex_, deadline)) {
    }
    drop_old_answer(valid_for);  // it may have waited for us, too
    if (answer_) return use_answer(waits);
    withhold();
    return Permit::withheld;
}

void OutputPermit::drop_old_answer(std::chrono::nanoseconds valid_for) {
    if (!answer_ || now_() - answer_->asked_at <= valid_for) return;
    answer_.reset();
    no_answer_ = "it takes too long to answer";
}

// used_up: no turn of the loop ends it.
OutputPermit::Permit OutputPermit::use_answer(bool used_up) {
    no_answer_.clear();
    waiting_since_.reset();
    if (const auto lasted = waiting_.over(Clock::now()))
        log::notice("arbiter", "output goes on; it waited for {}", *lasted);
    const Permit permit = answer_->permit;
    if (used_up) answer_.reset();
    return permit;
}

// At most one timer in half a second, however much output there is.
void OutputPermit::withhold() {
    if (!waiting_since_) waiting_since_ = Clock::now();
    if (std::exchange(looks_, true)) return;
    loop_.post(timer_->tasks.bind([this] { look_at_wait(); }));
}

// Loop thread.
void OutputPermit::look_at_wait() {
    const Lock lock(mutex_);
    looks_ = waiting_since_.has_value();
    if (!looks_) return;
    const auto now = Clock::now();
    if (now - *waiting_since_ >= answer_patience) {
        if (const auto why = waiting_.is(reason(), now))
            log::warning("arbiter", "the guest's output waits for the arbiter: {}", *why);
    }
    timer_->timer.expires_after(answer_patience);
    timer_->timer.async_wait(timer_->tasks.bind([this](const boost::system::error_code& error) {
        if (!error) look_at_wait();
    }));
}

std::string OutputPermit::reason() const {
    const bool hangs = asking_ && Clock::now() - asked_since_ >= answer_patience;
    return hangs || no_answer_.empty() ? "it does not answer" : no_answer_;
}

void OutputPermit::put_question() {
    if (std::exchange(asking_, true)) return;
    asked_since_ = Clock::now();
    thread_.ask([this, arbiter = arbiter_, generation = generation_, now = now_] {
        const std::chrono::nanoseconds asked_at = now();
        const Result<bool> newest = arbiter->is_newest(generation());
        if (!newest.ok()) std::this_thread::sleep_for(retry_pause);
        return [this, asked_at, newest] { answered(asked_at, newest); };
    });
}

void OutputPermit::answered(std::chrono::nanoseconds asked_at, const Result<bool>& newest) {
    std::uint64_t number = 0;
    {
        const Lock lock(mutex_);
        asking_ = false;
        number = ++answers_;
        if (newest.ok()) {
            answer_ = Answer{number, asked_at, newest.value() ? Permit::granted : Permit::revoked};
        } else {
            no_answer_ = newest.error().message();
        }
        arrived_.notify_all();
    }
    loop_.post([this, number] { tell(number); });
}

void OutputPermit::tell(std::uint64_t number) {
    answer_handler_();
    const Lock lock(mutex_);
    // The next one, if it is here already, has a turn of its own.
    if (answer_ && answer_->number == number) answer_.reset();
}

}  // namespace fmvm::lockstep
