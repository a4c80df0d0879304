// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/output_permit.h"

#include <ctime>
#include <thread>
#include <utility>

namespace fmvm::lockstep {

namespace {

// Between two questions to an arbiter that fails.
constexpr std::chrono::milliseconds retry_pause{5};

}  // namespace

OutputPermit::OutputPermit(EventLoop& loop, std::shared_ptr<Arbiter> arbiter,
                           std::function<Generation()> generation,
                           std::chrono::milliseconds valid_for, Now now)
    : loop_(loop),
      arbiter_(std::move(arbiter)),
      generation_(std::move(generation)),
      valid_for_(valid_for),
      now_(std::move(now)) {}

std::chrono::nanoseconds OutputPermit::time_since_boot() {
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

OutputPermit::Permit OutputPermit::ask(std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    const Lock lock(mutex_);
    if (answer_ && now_() - answer_->asked_at > valid_for_) answer_.reset();
    if (!answer_) put_question();
    const bool waits = patience.count() != 0;
    while (waits && !answer_ && arrived_.wait_until(mutex_, deadline)) {
    }
    // It may have waited for us, too.
    if (!answer_ || now_() - answer_->asked_at > valid_for_) return Permit::withheld;
    const Permit permit = answer_->permit;
    if (waits) answer_.reset();  // no turn of the loop ends it
    return permit;
}

void OutputPermit::put_question() {
    if (std::exchange(asking_, true)) return;
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
        if (newest.ok())
            answer_ = Answer{number, asked_at, newest.value() ? Permit::granted : Permit::revoked};
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
