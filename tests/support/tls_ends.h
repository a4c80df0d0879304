// SPDX-License-Identifier: Apache-2.0
// Both ends of TLS in one thread, over a pair of sockets; and keys to shake hands with.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <initializer_list>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/unique_fd.h"
#include "lockstep/channel/tls_keyring.h"
#include "lockstep/channel/tls_session.h"
#include "support/temp_directory.h"

namespace fmvm::test {

// Keys of one repeated byte each.
inline lockstep::TlsKeys keys_of(std::initializer_list<std::uint8_t> fills) {
    lockstep::TlsKeys keys;
    for (const std::uint8_t fill : fills)
        keys.emplace_back().bytes.fill(fill);
    return keys;
}

// A key file, and who reads it.
class KeyFile {
  public:
    explicit KeyFile(std::initializer_list<std::uint8_t> fills) { write(fills); }
    void write(std::initializer_list<std::uint8_t> fills) const {
        std::string text;
        for (const std::uint8_t fill : fills) {
            for (int i = 0; i < 32; ++i)
                text += fmt::format("{:02x}", fill);
            text += '\n';
        }
        directory_.write("vm.key", text);
        FMVM_CHECK(::chmod(path().c_str(), 0600) == 0);
    }
    std::string path() const { return directory_.file("vm.key"); }
    std::shared_ptr<lockstep::TlsKeyring> open() const {
        return lockstep::TlsKeyring::open(path()).value();
    }

  private:
    const TempDirectory directory_;
};

struct SocketPair {
    SocketPair() {
        int ends[2];
        FMVM_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
        near = UniqueFd(ends[0]);
        far = UniqueFd(ends[1]);
    }
    UniqueFd near, far;
};

struct TlsEnds {
    using Session = lockstep::TlsSession;

    TlsEnds(const lockstep::TlsKeys& of_client, const lockstep::TlsKeys& of_server,
            std::uint64_t records_per_key = Session::records_per_key_max)
        : client(std::make_shared<const lockstep::TlsContext>(of_client), Session::Role::client,
                 sockets.near.get(), records_per_key),
          server(std::make_shared<const lockstep::TlsContext>(of_server), Session::Role::server,
                 sockets.far.get(), records_per_key) {}

    // Until both are done, or one is lost.
    void shake_hands() {
        lockstep::Moved near, far;
        do {
            near = client.shake_hands();
            far = server.shake_hands();
        } while (!near.is_lost() && !far.is_lost() &&
                 (near.needs != lockstep::Needs::nothing || far.needs != lockstep::Needs::nothing));
        if (far.is_lost()) near = client.shake_hands();
        client_lost = near.lost;
        server_lost = far.lost;
    }

    SocketPair sockets;
    Session client, server;
    std::string client_lost, server_lost;  // why; empty: it is not
};

}  // namespace fmvm::test
