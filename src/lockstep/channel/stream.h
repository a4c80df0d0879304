// SPDX-License-Identifier: Apache-2.0
// A transport in a loop: what it cannot do at once is done when its socket is ready.
//
// Threads: the loop's, or nobody else's while the loop does not run.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <vector>

#include "lockstep/channel/transport.h"

namespace fmvm::lockstep {

class Stream {
  public:
    Stream(const boost::asio::any_io_executor& loop, Transport transport);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    const boost::asio::any_io_executor& loop() const { return loop_; }

    // Reads what comes, or writes all pieces, which stay where they are until then. One of each may
    // be under way. The handler is called once, later: it keeps the stream alive until then. In the
    // end it hears of bytes, or of a loss.
    using Handler = std::function<void(Moved)>;
    void read(std::span<std::uint8_t> space, Handler handler);
    void write(std::vector<boost::asio::const_buffer> pieces, Handler handler);
    // Ends what is under way, and the connection. Idempotent.
    void close();
    // Any thread. What has left of all that write() was given.
    std::uint64_t written_bytes() const { return written_bytes_; }

    // For who takes single steps: the transport, and when to try again. `ready` is called once,
    // later, unless the stream is destroyed or closed before; it uses nobody that is gone then.
    Transport& transport() { return transport_; }
    void wait(Needs needs, std::function<void()> ready);
    // Leaves the loop.
    Transport release();

  private:
    struct Writing {
        std::vector<boost::asio::const_buffer> pieces;
        std::size_t next = 0;     // of the pieces
        std::size_t written = 0;  // bytes
        Handler handler;

        void advance(std::size_t bytes);
    };
    void go_on(Writing writing);
    void when_ready(Needs needs, std::function<void(const boost::system::error_code&)> then);
    void leave_loop();

    boost::asio::any_io_executor loop_;
    Transport transport_;
    std::atomic<std::uint64_t> written_bytes_{0};
    boost::asio::posix::stream_descriptor readiness_;  // of the transport's socket, which it lends
};

}  // namespace fmvm::lockstep
