// SPDX-License-Identifier: Apache-2.0
// Finds out what those who connect want: a channel of their own, or to join one (JoinMessage).
//
// It reads the first bytes that come. Those that are no join are given back to the transport, so
// that a channel finds them all. Who says nothing for a while, or comes when too many are looked
// at, counts as one who wants a channel: there his time and number are limited (backup/callers.h).
//
// Threads: the loop's.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <list>

#include "lockstep/channel/joiner.h"
#include "lockstep/channel/stream.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

class FirstLooks {
  public:
    static constexpr std::chrono::milliseconds patience{500};
    static constexpr std::size_t looks_max = 16;

    // Neither may destroy the looks.
    struct Handlers {
        std::function<void(Transport)> channel;
        std::function<void(Joiner)> join;
    };
    FirstLooks(boost::asio::io_context& loop, Handlers handlers)
        : loop_(loop), handlers_(std::move(handlers)) {}

    // Somebody has connected, and shaken hands.
    void add(Transport transport);

  private:
    static constexpr std::size_t join_bytes = frame_header_size + JoinMessage::body_bytes;

    struct Look {
        Look(const boost::asio::any_io_executor& loop, Transport transport)
            : stream(loop, std::move(transport)), limit(loop) {}
        std::array<std::uint8_t, join_bytes> bytes{};  // the first that have come
        std::size_t filled = 0;
        Stream stream;
        boost::asio::steady_timer limit;
        TaskScope tasks;  // last: its tasks use the rest
    };
    using Looking = std::list<Look>::iterator;

    void go_on(Looking look);
    void take_join(Looking look);
    void is_channel(Looking look);
    Transport end(Looking look);

    boost::asio::io_context& loop_;
    const Handlers handlers_;
    std::list<Look> looks_;
};

}  // namespace fmvm::lockstep
