// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/frame_reader.h"

#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>

#include "support/stream_pair.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

std::vector<std::uint8_t> frame_bytes(std::uint64_t sequence,
                                      const std::vector<std::uint8_t>& body) {
    const FrameHeader header = make_frame_header(FrameType::pages, sequence, body);
    std::vector<std::uint8_t> bytes(header.begin(), header.end());
    bytes.insert(bytes.end(), body.begin(), body.end());
    return bytes;
}

struct ReaderBench {
    void send(std::span<const std::uint8_t> piece) {
        boost::asio::write(streams.far, boost::asio::buffer(piece.data(), piece.size()));
    }
    // Reads until a frame is complete or reading fails.
    void read_frame() {
        frame.reset();
        bool done = false;
        while (!frame && error.empty()) {
            done = false;
            reader.read([&](Result<FrameReader::Received> received) {
                done = true;
                if (!received.ok()) {
                    error = received.error().message();
                    return;
                }
                bytes += received->bytes;
                frame = std::move(received->frame);
            });
            REQUIRE(streams.run_until([&] { return done; }));
        }
    }
    StreamPair streams;
    FrameReader reader{*streams.near};
    std::optional<Frame> frame;
    std::size_t bytes = 0;
    std::string error;
};

}  // namespace

TEST_CASE("a reader makes frames of bytes, however they come", "[channel]") {
    ReaderBench bench;
    const std::vector<std::uint8_t> first = frame_bytes(0, {1, 2, 3});
    const std::vector<std::uint8_t> second = frame_bytes(1, std::vector<std::uint8_t>(100000, 4));
    bench.send(std::span(first).first(10));
    bench.send(std::span(first).subspan(10));
    bench.send(second);
    bench.read_frame();
    REQUIRE(bench.frame);
    CHECK(bench.frame->body.size() == 3);
    CHECK(bench.bytes == first.size());
    bench.read_frame();
    REQUIRE(bench.frame);
    CHECK(bench.frame->body.size() == 100000);
    CHECK(bench.bytes == first.size() + second.size());
}

TEST_CASE("a reader tells that the peer has closed the connection", "[channel]") {
    ReaderBench bench;
    const std::vector<std::uint8_t> bytes = frame_bytes(0, {1, 2, 3});
    bench.send(std::span(bytes).first(20));
    bench.streams.far.close();
    bench.read_frame();
    CHECK(bench.error == "the peer closed the connection");
}

TEST_CASE("a reader tells what is wrong with bytes that are no frame", "[channel]") {
    ReaderBench bench;
    bench.send(std::vector<std::uint8_t>(frame_header_size, 'x'));
    bench.read_frame();
    CHECK(bench.error == "it does not speak fmvm's protocol");
}
