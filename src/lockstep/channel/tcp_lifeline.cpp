// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tcp_lifeline.h"

#include <poll.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <thread>

#include "base/boot_time.h"
#include "base/event_fd.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/thread_priority.h"
#include "base/work_steps.h"
#include "lockstep/channel/join_session.h"
#include "lockstep/channel/life_signs.h"
#include "lockstep/channel/lifeline_watch.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

namespace {

using Clock = std::chrono::steady_clock;

void go_first() {
    static std::atomic<bool> told = false;
    if (set_real_time(0) || told.exchange(true)) return;
    log::warning("life",
                 "this host does not let signs of life go before all other work, so that load can "
                 "make it look dead: give fmvm CAP_SYS_NICE, or an RLIMIT_RTPRIO of 1");
}

// What was signalled until now counts as seen.
void drain(int event) {
    std::uint64_t count = 0;
    FMVM_CHECK(::read(event, &count, sizeof count) == sizeof count || errno == EAGAIN);
}

// What the lifeline's thread and its user tell each other.
struct SharedSigns {
    std::atomic<Lifeline::TimePoint::rep> last_sign{0};  // of the steady clock; 0: none
    std::atomic<std::uint64_t> peer_handled{0};
    std::atomic<std::uint64_t> peer_steps{0};
    std::atomic<std::uint64_t> handled{0};
};

// The thread's end: socket, clock, and the signs that go out and come in.
class SignLoop {
  public:
    SignLoop(Transport& transport, int stop, const Lifeline::Terms& terms, SharedSigns& shared)
        : transport_(transport),
          stop_(stop),
          wanted_(terms.half.wanted()),
          shared_(shared),
          signs_(Heartbeat(terms.interval, terms.role, Clock::now()), terms.half) {}

    // Until it is told to stop, or there is nothing more to be had: then the error says why.
    Result<void> run();

  private:
    Result<bool> wait();
    Result<void> send(bool asks);
    Result<void> receive();

    Transport& transport_;
    const int stop_;
    const int wanted_;  // -1: none
    SharedSigns& shared_;
    LifeSigns signs_;
    SignBytes incoming_{};
    std::size_t filled_ = 0;  // of incoming_
};

Result<void> SignLoop::run() {
    FMVM_TRY(send(true));
    while (FMVM_TRY(wait())) {
        if (signs_.is_due(Clock::now())) FMVM_TRY(send(true));
    }
    return {};
}

// False: it is told to stop.
Result<bool> SignLoop::wait() {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(signs_.due_at() - Clock::now());
    pollfd waits[] = {{transport_.fd(), POLLIN, 0}, {stop_, POLLIN, 0}, {wanted_, POLLIN, 0}};
    const int count =
        ::poll(waits, 3, static_cast<int>(std::max(left.count(), decltype(left)::rep{0})));
    if (count < 0 && errno != EINTR) return errno_error(errno, "poll failed");
    if (count <= 0) return true;
    if (waits[1].revents != 0) return false;
    if (waits[0].revents != 0) FMVM_TRY(receive());
    if (waits[2].revents != 0) {
        drain(wanted_);
        FMVM_TRY(send(true));
    }
    return true;
}

// A sign is small, and many have room: a peer that reads none for so long is as good as gone.
Result<void> SignLoop::send(bool asks) {
    const Sign sign = signs_.send(asks, {.handled = shared_.handled, .steps = work_steps()},
                                  Clock::now(), boot_time());
    const SignBytes bytes = encode(sign);
    const Moved moved = transport_.write(bytes);
    if (moved.bytes == bytes.size()) return {};
    if (!moved.is_lost()) return Error("it reads no signs of life");
    return make_error("cannot send a sign of life: {}", moved.lost);
}

Result<void> SignLoop::receive() {
    while (true) {
        const Moved moved = transport_.read(std::span(incoming_).subspan(filled_));
        if (moved.needs != Needs::nothing) return {};
        if (moved.lost == peer_closed) return Error("the peer closed its lifeline");
        if (moved.is_lost()) return make_error("cannot receive a sign of life: {}", moved.lost);
        filled_ += moved.bytes;
        if (filled_ != incoming_.size()) continue;
        filled_ = 0;
        const BootTime arrived = boot_time();
        const std::optional<Sign> sign = decode_sign(incoming_);
        if (!sign) return Error("a sign of life is damaged");
        FMVM_TRY(signs_.receive(*sign, arrived));
        shared_.peer_handled = sign->work.handled;
        shared_.peer_steps = sign->work.steps;
        shared_.last_sign = Clock::now().time_since_epoch().count();
        if (sign->asks) FMVM_TRY(send(false));
    }
}

class TcpLifeline : public Lifeline {
  public:
    // join: what is to be done first, on the thread; it gives the connection.
    using Join = std::function<Result<Transport>(int give_up)>;
    TcpLifeline(boost::asio::io_context& user, UniqueFd stop, Terms terms, Join join)
        : user_(user), stop_(std::move(stop)), terms_(std::move(terms)) {
        thread_ = start_thread("life", [this, join = std::move(join)] { live(join); });
    }
    ~TcpLifeline() override {
        tasks_.end();
        signal_eventfd(stop_.get());
        thread_.join();
    }

    std::optional<TimePoint> last_sign() const override {
        const TimePoint::rep at = shared_.last_sign;
        if (at == 0) return std::nullopt;
        return TimePoint(TimePoint::duration(at));
    }
    WorkDone peer_work() const override {
        return {.handled = shared_.peer_handled, .steps = shared_.peer_steps};
    }
    void handled(std::uint64_t bytes) override { shared_.handled = bytes; }

  private:
    void live(const Join& join);
    void tell(const std::string& reason) {
        boost::asio::post(user_, tasks_.bind([lost = terms_.lost, reason] { lost(reason); }));
    }

    boost::asio::io_context& user_;
    const UniqueFd stop_;
    const Terms terms_;
    SharedSigns shared_;
    TaskScope tasks_;
    std::thread thread_;  // last: it uses the rest
};

void TcpLifeline::live(const Join& join) {
    go_first();
    Result<Transport> transport = join(stop_.get());
    if (!transport.ok()) return tell(transport.error().message());
    const Result<void> ended = SignLoop(*transport, stop_.get(), terms_, shared_).run();
    if (!ended.ok()) tell(ended.error().message());
}

}  // namespace

Result<std::unique_ptr<Lifeline>> join_by_lifeline(boost::asio::io_context& user,
                                                   const Endpoint& backup,
                                                   std::shared_ptr<TlsKeyring> keys,
                                                   const JoinMessage& join, Lifeline::Terms terms) {
    return std::unique_ptr<Lifeline>(std::make_unique<TcpLifeline>(
        user, FMVM_TRY(create_eventfd()), std::move(terms),
        [backup, keys = std::move(keys), join](int give_up) {
            return join_session(backup, keys, join, LifelineWatch::begins_within, give_up);
        }));
}

Result<std::unique_ptr<Lifeline>> make_lifeline(boost::asio::io_context& user, Transport transport,
                                                Lifeline::Terms terms) {
    const auto joined = std::make_shared<Transport>(std::move(transport));
    return std::unique_ptr<Lifeline>(std::make_unique<TcpLifeline>(
        user, FMVM_TRY(create_eventfd()), std::move(terms),
        [joined](int) -> Result<Transport> { return std::move(*joined); }));
}

}  // namespace fmvm::lockstep
