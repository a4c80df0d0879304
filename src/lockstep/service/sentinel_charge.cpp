// SPDX-License-Identifier: Apache-2.0
#include "lockstep/service/sentinel_charge.h"

#include <fmt/format.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

namespace {

using State = SentinelReport::State;

// A sentinel that is stopped says nothing, so it is looked at so often.
constexpr std::chrono::seconds look_every{1};

std::string describe(const SentinelReport& report) {
    if (report.state == State::refused) return "the backup refuses it";
    return fmt::format("it cannot reach the backup: {}", std::strerror(report.error));
}

}  // namespace

struct SentinelCharge::Descriptor {
    Descriptor(boost::asio::io_context& loop, int fd) : stream(loop, fd), look(loop) {}
    ~Descriptor() { stream.release(); }  // it is the sentinel's
    boost::asio::posix::stream_descriptor stream;
    boost::asio::steady_timer look;
    TaskScope tasks;  // last: its tasks use the rest
};

SentinelCharge::SentinelCharge(boost::asio::io_context& loop, Sentinel* sentinel)
    : sentinel_(sentinel) {
    if (sentinel_ == nullptr) return;
    descriptor_ = std::make_unique<Descriptor>(loop, sentinel_->report_fd());
    wait();
    look_at_it();
}

SentinelCharge::~SentinelCharge() {
    end();
}

void SentinelCharge::begin(const LastWord& word) {
    if (sentinel_ == nullptr) return;
    begun_ = true;
    if (!sentinel_->say_when_dead(word)) gone();
}

void SentinelCharge::end() {
    if (sentinel_ == nullptr || !std::exchange(begun_, false)) return;
    not_heard_.over(std::chrono::steady_clock::now());
    if (!sentinel_->say_when_dead({})) gone();
}

void SentinelCharge::wait() {
    descriptor_->stream.async_wait(
        boost::asio::posix::stream_descriptor::wait_read,
        descriptor_->tasks.bind([this](const boost::system::error_code& error) {
            if (!error) take_reports();
        }));
}

void SentinelCharge::take_reports() {
    Sentinel::Reports reports = sentinel_->next_report();
    for (; reports.next; reports = sentinel_->next_report())
        take(*reports.next);
    reports.has_ended ? gone() : wait();
}

void SentinelCharge::look_at_it() {
    if (const auto stopped = sentinel_->stopped_anew(); stopped == true) {
        log::warning("primary",
                     "the sentinel {0} is stopped: if this process dies, its backup learns of it "
                     "later; let it go on (kill -CONT {0})",
                     sentinel_->pid());
    } else if (stopped == false) {
        log::notice("primary", "the sentinel {} goes on", sentinel_->pid());
    }
    descriptor_->look.expires_after(look_every);
    descriptor_->look.async_wait(
        descriptor_->tasks.bind([this](const boost::system::error_code& error) {
            if (!error) look_at_it();
        }));
}

void SentinelCharge::take(const SentinelReport& report) {
    if (report.state == State::not_first) {
        return log::warning("primary",
                            "this host does not let the sentinel go before other work, so that "
                            "load can make its word come late: give fmvm CAP_SYS_NICE, or an "
                            "RLIMIT_RTPRIO of 1");
    }
    if (!begun_ || report.state == State::closed) return;  // it connects again
    const auto now = std::chrono::steady_clock::now();
    if (report.state != State::connected) {
        const auto told = not_heard_.is(describe(report), now);
        if (!told) return;
        return log::warning("primary",
                            "the sentinel could not tell of this process's death: {}; the backup "
                            "would learn of it later",
                            *told);
    }
    log::info("primary", "the sentinel tells the backup if this process dies sentinel={}",
              sentinel_->pid());
    if (const auto lasted = not_heard_.over(now))
        log::notice("primary", "the sentinel can tell of this process's death again, after {}",
                    *lasted);
}

// Without it a death is found out as one of the host is, or when the kernel has closed the
// connection.
void SentinelCharge::gone() {
    log::warning("primary",
                 "the sentinel {} has ended, or does not get on: if this process dies, its backup "
                 "learns of it later",
                 std::exchange(sentinel_, nullptr)->pid());
    descriptor_.reset();
}

}  // namespace fmvm::lockstep
