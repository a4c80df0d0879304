// SPDX-License-Identifier: Apache-2.0
// Those who have connected and have not proven yet that they hold the key. Until they have, one
// costs a slot, a second at most and the small buffers of a session; and none of it touches the
// thread on which a backup works, or one that gives signs of life.
//
//     slot free    somebody connects                           taken
//     slot taken   he has shaken hands: he goes to the user    free
//                  he cannot, or has not within a second       free
//                  all are taken, and somebody else connects   free, if he came first among those
//                                                              of the address that has most
//
// So whoever floods a port loses his own slots first. The real peer needs one for two round trips.
//
// Threads: one of its own, on which whoever accepts connections may live, too.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <list>
#include <string>
#include <thread>

#include "base/trouble.h"
#include "lockstep/channel/handshake.h"

namespace fmvm::lockstep {

class TlsDoor {
  public:
    static constexpr std::size_t slots = 16;
    static constexpr std::chrono::milliseconds patience{1000};

    // Called on the user's thread for each who has come in. The log tells of those who have not.
    using Entered = std::function<void(Transport)>;
    // The user's loop outlives the door.
    TlsDoor(boost::asio::io_context& user, Entered entered);
    ~TlsDoor();
    TlsDoor(const TlsDoor&) = delete;
    TlsDoor& operator=(const TlsDoor&) = delete;

    boost::asio::io_context& loop() { return loop_; }
    // On the door's thread: somebody has connected.
    void add(Transport transport);
    // Nobody enters any more, and what lives on the door's loop stands still. Idempotent.
    void close();

  private:
    struct Caller {
        std::string address;  // of an IPv6 address, the network that one host is usually given
        std::unique_ptr<Handshake> handshake;
    };
    using Place = std::list<Caller>::iterator;

    void make_room();
    void answered(Place place, Result<Transport> result);
    void refuse(Place place, const std::string& why);

    boost::asio::io_context& user_;
    const Entered entered_;
    TaskScope told_;  // what the user is told
    boost::asio::io_context loop_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::list<Caller> callers_;  // in the order in which they came
    Trouble refused_;
    std::thread thread_;  // last: it uses the rest
};

}  // namespace fmvm::lockstep
