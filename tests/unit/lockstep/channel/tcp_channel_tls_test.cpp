// SPDX-License-Identifier: Apache-2.0
// Channels under TLS: the same as in the clear (tcp_channel_test.cpp).
#include <catch2/catch.hpp>

#include "support/connected_channels.h"
#include "support/tls_ends.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

// A body of pages that lie elsewhere, as a checkpoint's is.
GatheredBody pages(const std::vector<std::uint8_t>& page, unsigned count) {
    GatheredBody body;
    for (unsigned i = 0; i < count; ++i) {
        for (const std::uint8_t byte : {std::uint8_t(i), std::uint8_t(1), std::uint8_t(2)})
            body.own().push_back(byte);
        body.refer(page);
    }
    return body;
}

}  // namespace

TEST_CASE("channel: frames arrive under TLS in both directions, whole and in order", "[tls]") {
    const KeyFile file({1});
    Connected pair(std::chrono::seconds(30), file.open());
    const std::vector<std::uint8_t> page(4096, 0x5a);
    std::uint64_t digest = 0;
    pair.near_loops.on_user([&] {
        for (unsigned i = 1; i <= 100; ++i)
            digest =
                chain_digest(digest, pair.near_channel->send(FrameType::pages, pages(page, i)));
    });
    pair.far_loops.on_user(
        [&] { pair.far_channel->send(FrameType::ack, std::vector<std::uint8_t>(5'000'000, 7)); });
    REQUIRE(pair.far.wait([&] { return pair.far.frames.size() == 100; }));
    REQUIRE(pair.near.wait([&] { return pair.near.frames.size() == 1; }));
    std::uint64_t heard = 0;
    for (const Frame& frame : pair.far.frames)
        heard = chain_digest(heard, frame.digest);
    CHECK(heard == digest);
    CHECK(pair.near.frames.front().body.size() == 5'000'000);
}

TEST_CASE("channel: what was sent under TLS before the close still arrives", "[tls]") {
    const KeyFile file({1});
    Connected pair(std::chrono::seconds(30), file.open());
    pair.near_loops.on_user([&] {
        pair.near_channel->send(FrameType::refuse, RefuseMessage{"because"}.encode());
        pair.near_channel->close();
    });
    REQUIRE(pair.far.wait([&] { return !pair.far.lost.empty(); }));
    CHECK(pair.far.lost == "the peer closed the connection");
    CHECK(pair.far.frames.size() == 1);
}
