// SPDX-License-Identifier: Apache-2.0
// A channel over TCP on the loopback, in the clear and under TLS: bulk as a checkpoint sends it,
// and the way there and back of one small frame.
#include <benchmark/benchmark.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "lockstep/channel/tcp_connect.h"
#include "lockstep/wire/messages.h"
#include "support/temp_directory.h"

namespace fmvm {
namespace {

using lockstep::Channel;
using lockstep::Frame;
using lockstep::FrameType;
using lockstep::TlsKeyring;

constexpr std::size_t page_bytes = 4096;
constexpr unsigned pages_a_frame = 64;
constexpr std::size_t bulk_bytes = 64 * mib;

// A loop with its thread.
class Loop {
  public:
    Loop() : work_(context.get_executor()), thread_([this] { context.run(); }) {}
    ~Loop() {
        context.stop();
        thread_.join();
    }
    boost::asio::io_context context{1};

  private:
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::thread thread_;
};

// One end: counts what comes, and answers frames that ask for it.
class End : public lockstep::ChannelUser {
  public:
    ~End() override {
        on_user([this] { channel_.reset(); });
    }
    template <typename Task>
    void on_user(Task task) {
        std::promise<void> done;
        boost::asio::post(user_.context, [&] {
            task();
            done.set_value();
        });
        done.get_future().wait();
    }
    lockstep::ChannelThreads threads() { return {user_.context, network_.context}; }
    void take(std::unique_ptr<Channel> channel) {
        channel_ = std::move(channel);
        channel_->start(*this);
        connected_.set_value();
    }
    void wait_connected() { connected_.get_future().wait(); }
    // Until so many bytes of bodies have come.
    void wait_received(std::uint64_t bytes) const {
        for (std::uint64_t seen = received_; seen < bytes; seen = received_)
            received_.wait(seen);
    }
    Channel& channel() { return *channel_; }

    void frame_received(Frame frame) override {
        if (frame.type == FrameType::output) channel_->send(FrameType::ack, lockstep::Body(8));
        received_ += frame.body.size();
        received_.notify_all();
    }
    void channel_drained() override {}
    void channel_lost(const std::string&) override {}

  private:
    Loop network_, user_;
    std::unique_ptr<Channel> channel_;
    std::promise<void> connected_;
    std::atomic<std::uint64_t> received_{0};
};

std::shared_ptr<TlsKeyring> make_keys(const test::TempDirectory& directory) {
    const std::string path = directory.file("bench.key");
    lockstep::create_tls_key(path).value();
    return TlsKeyring::open(path).value();
}

class Pair {
  public:
    explicit Pair(bool under_tls) : keys_(under_tls ? make_keys(directory_) : nullptr) {
        far.on_user([this] {
            listener_ = lockstep::Listener::listen(
                            far.threads(), {"127.0.0.1", 0}, keys_,
                            {.channel = [this](auto channel) { far.take(std::move(channel)); },
                             .join = [](const lockstep::Joiner&) {}})
                            .value();
        });
        near.on_user([this] {
            connector_ = lockstep::Connector::connect(
                near.threads(), listener_->endpoint(), keys_, 5000, [this](auto channel) {
                    near.take(std::move(channel).value());
                    near.channel().send(FrameType::heartbeat,
                                        lockstep::HeartbeatMessage{}.encode());
                });
        });
        near.wait_connected();
        far.wait_connected();
    }
    ~Pair() {
        near.on_user([this] { connector_.reset(); });
        far.on_user([this] { listener_.reset(); });
    }

    End near, far;

  private:
    const test::TempDirectory directory_;
    const std::shared_ptr<TlsKeyring> keys_;
    std::unique_ptr<lockstep::Listener> listener_;
    std::unique_ptr<lockstep::Connector> connector_;
};

// Pages that lie elsewhere, each behind its record's header.
lockstep::GatheredBody make_body(const std::vector<std::uint8_t>& page) {
    lockstep::GatheredBody body;
    for (unsigned i = 0; i < pages_a_frame; ++i) {
        body.own().resize(body.own().size() + 7);
        body.refer(page);
    }
    return body;
}

void channel_bulk(benchmark::State& state, bool under_tls) {
    Pair pair(under_tls);
    const std::vector<std::uint8_t> page(page_bytes, 0x5a);
    std::uint64_t sent = 0;
    for (auto _ : state) {
        pair.near.on_user([&] {
            for (std::size_t bytes = 0; bytes < bulk_bytes; bytes += pages_a_frame * page_bytes) {
                lockstep::GatheredBody body = make_body(page);
                sent += body.size();
                pair.near.channel().send(FrameType::pages, std::move(body));
            }
        });
        pair.far.wait_received(sent);
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(sent));
}

void channel_round_trip(benchmark::State& state, bool under_tls) {
    Pair pair(under_tls);
    std::uint64_t answered = 0;
    for (auto _ : state) {
        pair.near.on_user([&] { pair.near.channel().send(FrameType::output, lockstep::Body(8)); });
        pair.near.wait_received(answered += 8);
    }
}

// CPU is that of the whole process: both ends.
BENCHMARK_CAPTURE(channel_bulk, clear, false)
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(channel_bulk, tls, true)
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(channel_round_trip, clear, false)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK_CAPTURE(channel_round_trip, tls, true)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
}  // namespace fmvm
