// SPDX-License-Identifier: Apache-2.0
// Finds out what those who connect want: a channel of their own, or to join one (JoinMessage).
//
// It looks at the first bytes that come and takes none of them, so that a channel finds them all.
// Who says nothing for a while, or comes when too many are looked at, counts as one who wants a
// channel: there his time and number are limited (backup/callers.h).
//
// Threads: the loop's.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <list>

#include "lockstep/channel/joiner.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

class FirstLooks {
  public:
    static constexpr std::chrono::milliseconds patience{500};
    static constexpr std::size_t looks_max = 16;

    // Neither may destroy the looks.
    struct Handlers {
        std::function<void(boost::asio::ip::tcp::socket)> channel;
        std::function<void(Joiner)> join;
    };
    explicit FirstLooks(Handlers handlers) : handlers_(std::move(handlers)) {}

    // Somebody has connected.
    void add(boost::asio::ip::tcp::socket socket);

  private:
    struct Look {
        explicit Look(boost::asio::ip::tcp::socket accepted)
            : socket(std::move(accepted)), limit(socket.get_executor()) {}
        boost::asio::ip::tcp::socket socket;
        boost::asio::steady_timer limit;
        TaskScope tasks;  // last: its tasks use the rest
    };
    using Looking = std::list<Look>::iterator;

    void when_there(Looking look, std::size_t bytes, void (FirstLooks::*next)(Looking));
    void look_at_header(Looking look);
    void take_join(Looking look);
    void is_channel(Looking look);
    boost::asio::ip::tcp::socket end(Looking look);

    const Handlers handlers_;
    std::list<Look> looks_;
};

}  // namespace fmvm::lockstep
