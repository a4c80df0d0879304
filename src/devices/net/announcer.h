// SPDX-License-Identifier: Apache-2.0
// Tells switches that a guest's card is at this port now: frames from the card's address, so that
// what is for it comes here. They are RARP requests (RFC 903), which say nothing but an address, as
// hypervisors send after a migration. Some may be dropped by a port that has just come up, so there
// are six in a second, from when the first may leave.
//
// Threads: begin() from any; the rest is the loop's.
#pragma once

#include <memory>

#include "devices/net/mac_address.h"
#include "devices/net/net_backend.h"
#include "vmm/loop/event_loop.h"
#include "vmm/loop/task_scope.h"

namespace fmvm {

class Announcer {
  public:
    // Loop and backend outlive this.
    Announcer(EventLoop& loop, NetBackend& backend, const MacAddress& mac);
    ~Announcer();

    void begin();

  private:
    void announce(std::size_t turn);

    EventLoop& loop_;
    NetBackend& backend_;
    const MacAddress mac_;
    struct Timer;  // keeps Asio's header out of this one
    const std::unique_ptr<Timer> timer_;
    TaskScope tasks_;  // last: its tasks use the rest
};

}  // namespace fmvm
