// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/frame_writer.h"

#include <boost/asio/read.hpp>
#include <catch2/catch.hpp>

#include "base/digest.h"
#include "lockstep/channel/frame_reader.h"
#include "support/stream_pair.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

UnsentFrame make_unsent_frame(std::vector<std::uint8_t> bytes) {
    GatheredBody body(std::move(bytes));
    const std::uint64_t digest = body.digest();
    return {FrameType::pages, std::move(body), digest};
}

// One that refers to bytes which somebody keeps.
UnsentFrame make_referring_frame() {
    static const std::vector<std::uint8_t> page(4096, 0x5a);
    GatheredBody body(std::vector<std::uint8_t>{1});
    body.refer(page);
    const std::uint64_t digest = body.digest();
    return {FrameType::pages, std::move(body), digest};
}

struct WriterBench {
    void add(UnsentFrame frame) {
        writer.announce(frame);
        writer.enqueue(std::move(frame));
    }
    void write() {
        writer.write([this](FrameWriter::Outcome outcome) {
            ++writes;
            failed = outcome.failed;
            written += outcome.bytes;
        });
    }
    StreamPair streams;
    int released = 0;
    FrameWriter writer{*streams.near, [this](const GatheredBody&) { ++released; }};
    int writes = 0;
    bool failed = false;
    std::size_t written = 0;
};

}  // namespace

TEST_CASE("a writer sends frames in order, those that wait with one write", "[channel]") {
    WriterBench bench;
    std::size_t size = 0;
    for (std::uint8_t i = 0; i < 10; ++i) {
        UnsentFrame frame = make_unsent_frame(std::vector<std::uint8_t>(i, i));
        size += frame.size();
        bench.add(std::move(frame));
    }
    CHECK(bench.writer.queued_bytes() == size);
    bench.write();
    CHECK(bench.writer.is_writing());
    REQUIRE(bench.streams.run_until([&] { return bench.writes == 1; }));
    CHECK_FALSE(bench.writer.is_writing());
    CHECK(bench.writer.is_empty());
    CHECK(bench.writer.queued_bytes() == 0);
    CHECK(bench.written == size);
    std::vector<std::uint8_t> bytes(size);
    boost::asio::read(bench.streams.far, boost::asio::buffer(bytes));
    FrameDecoder decoder;
    std::span<const std::uint8_t> rest(bytes);
    for (std::uint8_t i = 0; i < 10; ++i) {
        std::optional<Frame> frame;
        while (!frame)
            frame = decoder.feed(rest).value();
        CHECK(frame->body.size() == i);
    }
    CHECK(rest.empty());
}

TEST_CASE("a writer gathers no more frames than one system call takes", "[channel]") {
    WriterBench bench;
    for (int i = 0; i < 50; ++i)
        bench.add(make_unsent_frame({1}));
    bench.write();
    REQUIRE(bench.streams.run_until([&] { return bench.writes == 1; }));
    CHECK_FALSE(bench.writer.is_empty());
    CHECK(bench.writer.queued_bytes() != 0);
    bench.write();
    REQUIRE(bench.streams.run_until([&] { return bench.writes == 2; }));
    CHECK(bench.writer.is_empty());
}

TEST_CASE("a writer releases what its frames refer to, sent or not", "[channel]") {
    WriterBench bench;
    bench.add(make_referring_frame());
    bench.write();
    REQUIRE(bench.streams.run_until([&] { return bench.writes == 1; }));
    CHECK(bench.released == 1);
    bench.add(make_referring_frame());
    bench.add(make_unsent_frame({1, 2}));  // refers to nothing
    bench.writer.discard();
    CHECK(bench.released == 2);
    CHECK(bench.writer.is_empty());
    bench.writer.reject(make_referring_frame());
    CHECK(bench.released == 3);
}

TEST_CASE("a write that fails says so, and its frames stay until they are discarded", "[channel]") {
    WriterBench bench;
    bench.add(make_referring_frame());
    bench.write();
    bench.streams.near->close();
    REQUIRE(bench.streams.run_until([&] { return bench.writes == 1; }));
    // It may have left at once, before the stream was closed.
    if (!bench.failed) bench.add(make_referring_frame()), bench.write();
    REQUIRE(bench.streams.run_until([&] { return bench.failed; }));
    CHECK_FALSE(bench.writer.is_empty());
    const int released = bench.released;
    bench.writer.discard();
    CHECK(bench.released == released + 1);
}
