// SPDX-License-Identifier: Apache-2.0
// The two loops on which a channel lives, each on a thread of its own.
#pragma once

#include <chrono>

namespace boost::asio {
class io_context;
}

namespace fmvm::lockstep {

struct ChannelThreads {
    boost::asio::io_context& user;     // the replication thread: may be busy for a while
    boost::asio::io_context& network;  // never is, because it only moves bytes
    // A user that comes to no handler for so long counts as hung (hang_watchdog.h). The time is
    // long, because one handler may digest all of a large guest's memory.
    std::chrono::milliseconds stuck_after{120000};
};

}  // namespace fmvm::lockstep
