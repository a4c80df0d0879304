// SPDX-License-Identifier: Apache-2.0
#include "lockstep/sentinel/death_notice.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

const JoinMessage join{JoinKind::sentinel, VmId{7}, 9, SessionId{8, 1}};

// The one frame that the bytes are.
Frame frame_in(const LastBytes& bytes) {
    FrameDecoder decoder;
    std::span<const std::uint8_t> rest = bytes.get();
    for (;;) {
        auto frame = decoder.feed(rest);
        REQUIRE(frame.ok());
        if (!*frame) continue;
        CHECK(rest.empty());
        return std::move(**frame);
    }
}

}  // namespace

TEST_CASE("a sentinel joins the channel, and says the session once more at the end", "[sentinel]") {
    const LastWord word = death_notice(Endpoint::parse("10.1.2.3:7000").value(), nullptr, join);
    const Frame greeting = frame_in(word.greeting);
    CHECK(greeting.type == FrameType::join);
    const JoinMessage said = JoinMessage::decode(greeting.body).value();
    CHECK(said.kind == JoinKind::sentinel);
    CHECK(said.vm == join.vm);
    CHECK(said.generation == join.generation);
    CHECK(said.session == join.session);
    CHECK(frame_in(word.answer).type == FrameType::joined);
    CHECK(std::ranges::equal(word.word.get(), join.session));
}

TEST_CASE("a sentinel is told the address of its backup", "[sentinel]") {
    const LastWord four = death_notice(Endpoint::parse("10.1.2.3:7000").value(), nullptr, join);
    CHECK_FALSE(four.is_for_nobody());
    const auto& v4 = *reinterpret_cast<const sockaddr_in*>(four.address());
    CHECK(v4.sin_family == AF_INET);
    CHECK(v4.sin_port == ::htons(7000));
    CHECK(v4.sin_addr.s_addr == ::htonl(0x0a010203));
    const LastWord six = death_notice(Endpoint::parse("[fe80::1]:7000").value(), nullptr, join);
    CHECK(six.listener_size == sizeof(sockaddr_in6));
    CHECK(six.listener.ss_family == AF_INET6);
}
