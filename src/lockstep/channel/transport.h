// SPDX-License-Identifier: Apache-2.0
// A connection to a peer as a stream of bytes, in the clear or under TLS: whoever has it need not
// know which. It is handed from thread to thread as a whole.
//
// Nothing here waits. What cannot be done at once says what its socket has to be for another
// attempt; poll() or a loop (stream.h) waits for that.
//
// Threads: one at a time.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "lockstep/channel/moved.h"
#include "lockstep/channel/tls_keyring.h"
#include "lockstep/channel/tls_session.h"

namespace fmvm::lockstep {

class Transport {
  public:
    // The socket is connected. peer: its address and port, for messages. tls: over that socket;
    // null: none.
    Transport(UniqueFd socket, std::string peer, std::unique_ptr<TlsSession> tls)
        : socket_(std::move(socket)), peer_(std::move(peer)), tls_(std::move(tls)) {}
    // Of a socket that leaves its loop; it delays nothing from now on. keys: the session's, with
    // which hands are to be shaken; null: in the clear. An error: the peer is gone again already.
    static Result<Transport> over(boost::asio::ip::tcp::socket socket,
                                  const std::shared_ptr<TlsKeyring>& keys, TlsSession::Role role);

    int fd() const { return socket_.get(); }
    const std::string& peer() const { return peer_; }

    // Before anything else; done as soon as nothing is needed. In the clear there is nothing to do.
    Moved shake_hands() { return tls_ ? tls_->shake_hands() : Moved{}; }
    // What has come, at most what the space, which is not empty, takes.
    Moved read(std::span<std::uint8_t> space);
    // As much as leaves at once. What was offered and has not left is offered again, the same
    // bytes, before any other.
    Moved write(std::span<const boost::asio::const_buffer> pieces);
    Moved write(std::span<const std::uint8_t> bytes);
    // Bytes that were read come once more, before all others.
    void unread(std::span<const std::uint8_t> bytes);
    // The peer sees the end, and so does whoever uses this. Idempotent.
    void close();

  private:
    UniqueFd socket_;
    std::string peer_;
    std::unique_ptr<TlsSession> tls_;
    std::vector<std::uint8_t> unread_;
};

}  // namespace fmvm::lockstep
