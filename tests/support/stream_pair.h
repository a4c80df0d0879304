// SPDX-License-Identifier: Apache-2.0
// Two streams that are connected to each other, on one loop that the test turns itself.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>

#include "lockstep/channel/stream.h"

namespace fmvm::test {

struct StreamPair {
    StreamPair() {
        using Tcp = boost::asio::ip::tcp;
        Tcp::acceptor acceptor(loop, {boost::asio::ip::address_v4::loopback(), 0});
        near.connect(acceptor.local_endpoint());
        acceptor.accept(far);
        near.set_option(Tcp::no_delay(true));
        far.set_option(Tcp::no_delay(true));
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
    lockstep::Stream near{loop};
    lockstep::Stream far{loop};
};

}  // namespace fmvm::test
