// SPDX-License-Identifier: Apache-2.0
#include "lockstep/service/guest_question.h"

#include <boost/asio/io_context.hpp>

#include "lockstep/channel/tcp_connect.h"

namespace fmvm::lockstep {

namespace {

// One connection, one question, at most one answer. What the peer says otherwise is no answer.
class Question : public ChannelUser {
  public:
    explicit Question(boost::asio::io_context& loop) : loop_(loop) {}

    void connected(Result<std::unique_ptr<Channel>> channel) {
        if (!channel.ok()) return loop_.stop();
        channel_ = std::move(channel).value();
        channel_->start(*this);
        channel_->send(FrameType::ask_guest, AskGuestMessage().encode());
    }
    void frame_received(Frame frame) override {
        if (frame.type != FrameType::known_guest) return;
        const Result<KnownGuestMessage> known = KnownGuestMessage::decode(frame.body);
        if (known.ok()) answer_ = known.value();
        loop_.stop();
    }
    void channel_drained() override {}
    void channel_lost(const std::string&) override { loop_.stop(); }

    const std::optional<KnownGuestMessage>& answer() const { return answer_; }

  private:
    boost::asio::io_context& loop_;
    std::unique_ptr<Channel> channel_;
    std::optional<KnownGuestMessage> answer_;
};

}  // namespace

std::optional<KnownGuestMessage> ask_for_guest(const Endpoint& peer,
                                               std::shared_ptr<TlsKeyring> keys,
                                               std::chrono::milliseconds limit) {
    boost::asio::io_context loop(1);
    Question question(loop);
    const auto connector = Connector::connect(
        {loop, loop}, peer, std::move(keys), static_cast<unsigned>(limit.count()),
        [&question](Result<std::unique_ptr<Channel>> channel) {
            question.connected(std::move(channel));
        });
    loop.run_for(limit);
    return question.answer();
}

}  // namespace fmvm::lockstep
