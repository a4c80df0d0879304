// SPDX-License-Identifier: Apache-2.0
// Who does not speak TLS as fmvm does gets nowhere, whatever else he says.
#include <openssl/ssl.h>

#include <catch2/catch.hpp>

#include "lockstep/channel/tls_session.h"
#include "support/tls_ends.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

struct TlsServer {
    TlsServer()
        : session(std::make_shared<const TlsContext>(keys_of({1})), TlsSession::Role::server,
                  sockets.far.get()) {}
    void hear(std::string_view bytes) const {
        REQUIRE(::send(sockets.near.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
    }
    SocketPair sockets;
    TlsSession session;
};

// A client of OpenSSL as it is, but for what the test changes.
class OpensslClient {
  public:
    explicit OpensslClient(const TlsServer& server) : context_(SSL_CTX_new(TLS_client_method())) {
        SSL_CTX_set_security_level(context_, 0);
        socket_ = server.sockets.near.get();
    }
    ~OpensslClient() {
        SSL_free(ssl_);
        SSL_CTX_free(context_);
    }
    SSL_CTX* context() const { return context_; }
    int shake_hands() {
        if (ssl_ == nullptr) {
            ssl_ = SSL_new(context_);
            SSL_set_fd(ssl_, socket_);
        }
        return SSL_connect(ssl_);
    }

  private:
    SSL_CTX* const context_;
    SSL* ssl_ = nullptr;
    int socket_ = -1;
};

// The key that the server holds, under a name that it does not know.
unsigned wrong_name(SSL*, const char*, char* identity, unsigned, unsigned char* key, unsigned) {
    std::strcpy(identity, "somebody");
    std::memset(key, 1, 32);
    return 32;
}

std::string lost_with(TlsServer& server, OpensslClient& client) {
    Moved moved;
    for (int turn = 0; turn < 20 && !moved.is_lost(); ++turn) {
        REQUIRE(client.shake_hands() != 1);
        moved = server.session.shake_hands();
        REQUIRE((moved.is_lost() || moved.needs != Needs::nothing));
    }
    REQUIRE(client.shake_hands() != 1);
    return moved.lost;
}

}  // namespace

TEST_CASE("whoever speaks in the clear to a side with a key is told of", "[tls]") {
    for (const std::string& said :
         {std::string("FMVL") + std::string(36, '\0'), std::string("GET / HTTP/1.1\r\n\r\n"),
          std::string(100, 'x'), std::string(100, '\0')}) {
        TlsServer server;
        server.hear(said);
        CHECK(server.session.shake_hands().lost == "it does not speak TLS; give both sides --tls");
    }
}

TEST_CASE("a side with a key tells of one that answers in the clear, or goes", "[tls]") {
    SocketPair sockets;
    TlsSession client(std::make_shared<const TlsContext>(keys_of({1})), TlsSession::Role::client,
                      sockets.near.get());
    CHECK(client.shake_hands().needs == Needs::readable);
    SECTION("it answers in the clear") {
        const std::string answer = std::string("FMVL") + std::string(36, '\0');
        REQUIRE(::send(sockets.far.get(), answer.data(), answer.size(), 0) == 40);
        CHECK(client.shake_hands().lost == "it does not speak TLS; give both sides --tls");
    }
    SECTION("it goes") {
        sockets.far.reset();
        CHECK(client.shake_hands().lost ==
              "it closed the connection before it had proven that it holds this side's key; give "
              "both sides --tls with the same one");
    }
}

TEST_CASE("a handshake that is cut short anywhere proves nothing", "[tls]") {
    // All of a client's first message.
    std::string hello(4096, '\0');
    {
        SocketPair sockets;
        TlsSession client(std::make_shared<const TlsContext>(keys_of({1})),
                          TlsSession::Role::client, sockets.near.get());
        client.shake_hands();
        const ssize_t count = ::recv(sockets.far.get(), hello.data(), hello.size(), 0);
        REQUIRE(count > 0);
        hello.resize(static_cast<std::size_t>(count));
    }
    for (std::size_t size = 0; size <= hello.size(); size += 7) {
        TlsServer server;
        server.hear(std::string_view(hello).substr(0, size));
        CHECK(server.session.shake_hands().needs == Needs::readable);
        REQUIRE(::shutdown(server.sockets.near.get(), SHUT_WR) == 0);
        CHECK(server.session.shake_hands().is_lost());
    }
}

TEST_CASE("an older TLS, no key, and a key by another name are refused", "[tls]") {
    TlsServer server;
    OpensslClient client(server);
    SECTION("TLS 1.2") {
        SSL_CTX_set_max_proto_version(client.context(), TLS1_2_VERSION);
        CHECK(lost_with(server, client) == "TLS with it fails (unsupported protocol)");
    }
    SECTION("no key") {
        CHECK_FALSE(lost_with(server, client).empty());
    }
    SECTION("another name") {
        SSL_CTX_set_psk_client_callback(client.context(), wrong_name);
        CHECK_FALSE(lost_with(server, client).empty());
    }
    SECTION("another cipher suite") {
        SSL_CTX_set_ciphersuites(client.context(), "TLS_CHACHA20_POLY1305_SHA256");
        CHECK(lost_with(server, client) ==
              "it does not hold this side's key; give both sides --tls with the same one");
    }
}
