// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/handshake.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace fmvm::lockstep {

Handshake::Handshake(const boost::asio::any_io_executor& loop, Transport transport,
                     std::chrono::milliseconds limit, Handler handler)
    : stream_(loop, std::move(transport)), limit_(loop, limit), handler_(std::move(handler)) {
    limit_.async_wait(tasks_.bind([this](const boost::system::error_code& cancelled) {
        if (!cancelled) finish(Error("it does not prove in time that it holds this side's key"));
    }));
    boost::asio::post(loop, tasks_.bind([this] { go_on(); }));
}

void Handshake::go_on() {
    Moved moved = stream_.transport().shake_hands();
    if (moved.is_lost()) return finish(Error(std::move(moved.lost)));
    if (moved.needs == Needs::nothing) return finish(stream_.release());
    stream_.wait(moved.needs, tasks_.bind([this] { go_on(); }));
}

void Handshake::finish(Result<Transport> result) {
    tasks_.end();
    limit_.cancel();
    const Handler handler = std::exchange(handler_, nullptr);
    handler(std::move(result));
}

}  // namespace fmvm::lockstep
