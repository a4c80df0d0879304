// SPDX-License-Identifier: Apache-2.0
// A stream and the socket that it is connected to, on one loop that the test turns itself.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <optional>

#include "lockstep/channel/stream.h"

namespace fmvm::test {

struct StreamPair {
    StreamPair() {
        using Tcp = boost::asio::ip::tcp;
        Tcp::acceptor acceptor(loop, {boost::asio::ip::address_v4::loopback(), 0});
        Tcp::socket socket(loop);
        socket.connect(acceptor.local_endpoint());
        acceptor.accept(far);
        far.set_option(Tcp::no_delay(true));
        near.emplace(loop.get_executor(),
                     lockstep::Transport::over(std::move(socket), nullptr,
                                               lockstep::TlsSession::Role::client)
                         .value());
    }
    // Turns the loop until the condition holds; false when that takes too long.
    template <typename Condition>
    bool run_until(Condition condition) {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!condition() && std::chrono::steady_clock::now() < limit) {
            loop.restart();
            loop.run_one_for(std::chrono::milliseconds(10));
        }
        return condition();
    }

    boost::asio::io_context loop{1};
    std::optional<lockstep::Stream> near;
    boost::asio::ip::tcp::socket far{loop};
};

}  // namespace fmvm::test
