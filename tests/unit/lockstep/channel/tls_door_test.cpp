// SPDX-License-Identifier: Apache-2.0
// A port that wants a key (tls_door.h, tcp_connect.h), over real TCP on the loopback: the peer who
// has it, strangers of all kinds, and both at once.
#include "lockstep/channel/tls_door.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>
#include <deque>

#include "lockstep/channel/join_session.h"
#include "lockstep/channel/tcp_connect.h"
#include "support/captured_log.h"
#include "support/connected_channels.h"
#include "support/tls_ends.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using Tcp = boost::asio::ip::tcp;

namespace {

const JoinMessage tls_join{JoinKind::lifeline, VmId{7}, 9, SessionId{8}};

class TlsPort {
  public:
    explicit TlsPort(const std::shared_ptr<TlsKeyring>& keys) {
        loops_.on_user([&] {
            listener_ =
                Listener::listen(loops_.threads(), {"127.0.0.1", 0}, keys,
                                 {.channel = [this](std::unique_ptr<Channel>) { ++channels; },
                                  .join =
                                      [this](Joiner joiner) {
                                          ++joins;
                                          joined_.push_back(joiner.accept());
                                      }})
                    .value();
        });
    }
    ~TlsPort() {
        loops_.on_user([this] { listener_.reset(); });
    }
    Endpoint endpoint() const { return listener_->endpoint(); }
    Tcp::endpoint address() const {
        return {boost::asio::ip::address_v4::loopback(), endpoint().port};
    }
    // The log says so. It tells a reason that it has told before later.
    bool has_refused(const std::string& why) const {
        return eventually([&] { return log_.text().find(why) != std::string::npos; });
    }

    std::atomic<unsigned> channels = 0;
    std::atomic<unsigned> joins = 0;

  private:
    const CapturedLog log_{log::Level::warning};
    Loops loops_;
    std::unique_ptr<Listener> listener_;
    std::vector<Transport> joined_;
};

Result<Transport> join_port(const TlsPort& port, const std::shared_ptr<TlsKeyring>& keys) {
    return join_session(port.endpoint(), keys, tls_join, wait_limit, -1);
}

// Until the other end closes.
std::size_t bytes_until_end(Tcp::socket& socket) {
    std::vector<std::uint8_t> space(10'000);
    boost::system::error_code error;
    return boost::asio::read(socket, boost::asio::buffer(space), error);
}

}  // namespace

TEST_CASE("who holds the key comes in, and is looked at as in the clear", "[tls]") {
    const KeyFile file({1});
    TlsPort port(file.open());
    CHECK(join_port(port, file.open()).ok());
    CHECK(port.joins == 1);
    CHECK(port.channels == 0);
}

TEST_CASE("who holds another key, or none, is refused, and no session is told", "[tls]") {
    const KeyFile file({1}), other({2});
    TlsPort port(file.open());
    CHECK(join_port(port, other.open())
              .error()
              .message()
              .starts_with("it does not take this side's key"));
    CHECK_FALSE(join_port(port, nullptr).ok());
    CHECK(port.has_refused("refused a connection of 127.0.0.1: it does not hold this side's key"));
    CHECK(port.has_refused("refused a connection of 127.0.0.1: it does not speak TLS"));
    CHECK(port.joins == 0);
    CHECK(port.channels == 0);
}

TEST_CASE("a side with a key says nothing in the clear to a port without one", "[tls]") {
    const KeyFile file({1});
    TlsPort port(nullptr);
    const Result<Transport> joined = join_port(port, file.open());
    CHECK_FALSE(joined.ok());
    CHECK(port.joins == 0);
}

TEST_CASE("keys can be changed while a port is open", "[tls]") {
    const KeyFile ours({1}), theirs({1});
    TlsPort port(ours.open());
    const auto keys = theirs.open();
    CHECK(join_port(port, keys).ok());
    ours.write({1, 2});
    CHECK(join_port(port, keys).ok());
    theirs.write({2, 1});
    CHECK(join_port(port, keys).ok());
    ours.write({2});
    CHECK(join_port(port, keys).ok());
    theirs.write({1});
    CHECK_FALSE(join_port(port, keys).ok());
}

TEST_CASE("a stranger who says nothing, or little, is put out", "[tls]") {
    const KeyFile file({1});
    TlsPort port(file.open());
    boost::asio::io_context loop;
    Tcp::socket silent(loop), slow(loop);
    silent.connect(port.address());
    slow.connect(port.address());
    const std::uint8_t begun[] = {0x16, 3, 1};  // of a handshake record
    boost::asio::write(slow, boost::asio::buffer(begun));
    CHECK(bytes_until_end(silent) == 0);
    bytes_until_end(slow);
    CHECK(port.has_refused("it does not prove in time"));
}

TEST_CASE("a flood of strangers does not keep out who holds the key", "[tls]") {
    const KeyFile file({1});
    TlsPort port(file.open());
    std::atomic<bool> over = false;
    std::atomic<unsigned> strangers = 0;
    std::thread flood([&] {
        boost::asio::io_context loop;
        std::deque<Tcp::socket> sockets;
        while (!over) {
            Tcp::socket& socket = sockets.emplace_back(loop);
            boost::system::error_code error;
            socket.open(Tcp::v4(), error);
            socket.bind({boost::asio::ip::make_address_v4("127.0.0.9"), 0}, error);
            if (!error) socket.connect(port.address(), error);
            ++strangers;
            if (sockets.size() > 100) sockets.pop_front();
        }
    });
    CHECK(eventually([&] { return strangers > 2 * TlsDoor::slots; }));
    const auto keys = file.open();
    for (int i = 0; i < 5; ++i)
        CHECK(join_port(port, keys).ok());
    CHECK(port.has_refused("refused a connection of 127.0.0.9: too many connect at once"));
    over = true;
    flood.join();
}

TEST_CASE("strangers who fill all slots make room for the next one", "[tls]") {
    const KeyFile file({1});
    TlsPort port(file.open());
    boost::asio::io_context loop;
    std::deque<Tcp::socket> silent;
    for (std::size_t i = 0; i < TlsDoor::slots; ++i)
        silent.emplace_back(loop).connect(port.address());
    CHECK(join_port(port, file.open()).ok());
    for (Tcp::socket& socket : silent)
        CHECK(bytes_until_end(socket) == 0);
}
