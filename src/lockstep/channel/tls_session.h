// SPDX-License-Identifier: Apache-2.0
// TLS over a connected socket that does not block. Whoever has shaken hands holds one of the keys
// of the context, and what is read and written from then on nobody else can read or change.
//
//     state       event                                        next state
//     shaking     the peer has proven that it holds a key      open
//     shaking     it cannot, or speaks anything but TLS 1.3    lost
//     open        the peer ends, or a record is not genuine    lost
//
// An end of the socket is an end, with TLS's own goodbye before it or without: what it would
// protect against, somebody who cuts the connection, is a loss to fmvm in any case, and frames show
// what is cut short.
//
// Pieces are gathered into records of 16 KiB; only pieces that are smaller are copied for that. The
// keys of a direction are renewed long before AES-GCM's limit of 2^24.5 records.
//
// Threads: one at a time. After the handshake nothing is allocated, but at the first read and write
// and when keys are renewed.
#pragma once

#include <boost/asio/buffer.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lockstep/channel/moved.h"
#include "lockstep/channel/tls_context.h"
#include "lockstep/channel/tls_socket.h"

namespace fmvm::lockstep {

class TlsSession {
  public:
    enum class Role { client, server };
    static constexpr std::uint64_t records_per_key_max = std::uint64_t{1} << 20;

    // The socket outlives the session. records_per_key: sent before the key is renewed.
    TlsSession(std::shared_ptr<const TlsContext> context, Role role, int socket,
               std::uint64_t records_per_key = records_per_key_max);
    ~TlsSession();
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

    // Until nothing is needed any more. A loss says what the operator can do about it.
    Moved shake_hands();
    // As Transport has them. One call moves 256 KiB at most, so that its thread comes to the rest.
    Moved read(std::span<std::uint8_t> space);
    Moved write(std::span<const boost::asio::const_buffer> pieces);

  private:
    class Cursor;

    void renew_key();
    Moved lose(std::string why);
    // What a call of OpenSSL came to that has moved nothing.
    Moved outcome(int result, std::string_view what);

    const std::shared_ptr<const TlsContext> context_;
    const Role role_;
    const std::uint64_t records_per_key_;
    TlsSocket socket_;
    ssl_st* const ssl_;
    std::vector<std::uint8_t> gathered_;  // for a record of several pieces
    std::span<const std::uint8_t> next_;  // record that has not left yet
    std::uint64_t records_ = 0;           // under this key
    std::string lost_;
};

}  // namespace fmvm::lockstep
