// SPDX-License-Identifier: Apache-2.0
#include "lockstep/service/guest_question.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <functional>
#include <thread>
#include <vector>

#include "lockstep/channel/tcp_connect.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

using Answer = std::function<void(Channel&)>;

// Somebody who listens, and does the same with each question.
class Peer {
  public:
    explicit Peer(Answer answer) : answer_(std::move(answer)) {
        listener_ =
            Listener::listen(
                {loop_, loop_}, Endpoint::parse("127.0.0.1:0").value(), nullptr,
                {.channel =
                     [this](std::unique_ptr<Channel> channel) {
                         asking_.push_back(std::make_unique<Asking>(std::move(channel), answer_));
                     },
                 .join = [](const Joiner&) {}})
                .value();
        thread_ = std::thread([this] { loop_.run(); });
    }
    ~Peer() {
        loop_.stop();
        thread_.join();
        asking_.clear();
    }
    Endpoint endpoint() const { return listener_->endpoint(); }

  private:
    struct Asking : ChannelUser {
        Asking(std::unique_ptr<Channel> from, const Answer& with)
            : channel(std::move(from)), answer(with) {
            channel->start(*this);
        }
        void frame_received(Frame frame) override {
            if (frame.type == FrameType::ask_guest) answer(*channel);
        }
        void channel_drained() override {}
        void channel_lost(const std::string&) override {}
        std::unique_ptr<Channel> channel;
        const Answer& answer;
    };
    const Answer answer_;
    boost::asio::io_context loop_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        loop_.get_executor()};
    std::unique_ptr<Listener> listener_;
    std::vector<std::unique_ptr<Asking>> asking_;
    std::thread thread_;
};

}  // namespace

TEST_CASE("a peer that knows of a guest says which, and where it runs") {
    const Peer peer([](Channel& channel) {
        channel.send(FrameType::known_guest,
                     KnownGuestMessage{GuestPlace::here, VmId{4}, 6}.encode());
        channel.close();
    });
    const auto known = ask_for_guest(peer.endpoint(), nullptr, 20s);
    REQUIRE(known.has_value());
    CHECK(known->place == GuestPlace::here);
    CHECK(known->vm == VmId{4});
    CHECK(known->generation == 6);
}

TEST_CASE("a peer that is not there, goes away, talks nonsense or says nothing is no answer") {
    Endpoint nobody;
    {
        const Peer gone([](Channel& channel) { channel.close(); });
        CHECK_FALSE(ask_for_guest(gone.endpoint(), nullptr, 20s).has_value());
        nobody = gone.endpoint();
    }
    CHECK_FALSE(ask_for_guest(nobody, nullptr, 20s).has_value());
    const Peer nonsense([](Channel& channel) { channel.send(FrameType::known_guest, Body{9}); });
    CHECK_FALSE(ask_for_guest(nonsense.endpoint(), nullptr, 20s).has_value());
    const Peer silent([](Channel&) {});
    CHECK_FALSE(ask_for_guest(silent.endpoint(), nullptr, 50ms).has_value());
}
