// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/peer_watch.h"

#include <catch2/catch.hpp>

#include "support/captured_log.h"
#include "support/fake_lifeline.h"
#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

namespace {

constexpr Debt nothing_due{nullptr, 3s};
constexpr Debt welcome_due{"its welcome", 3s};

// A peer that is lively unless the test says otherwise.
struct PeerWatchBench {
    explicit PeerWatchBench(PeerWatch::Unknown unknown = PeerWatch::Unknown::may_be_silent)
        : watch(channel, "primary", unknown, 1s, now) {
        wire->heard = now;
    }
    void join() {
        watch.joined(200ms, now);
        line->last_sign = [this] { return now; };
        line->work = [this] {
            return WorkDone{.handled = wire->handled.value_or(wire->traffic.sent), .steps = 0};
        };
        watch.lifeline_made(std::make_unique<FakeLifeline>(line));
    }
    // Until it is lost.
    std::optional<std::string> pass(std::chrono::milliseconds time, const Debt& debt) {
        for (const auto end = now + time; now < end;) {
            now += 50ms;
            if (lively) wire->heard = now;
            if (auto why = watch.lost(debt, now)) return why;
        }
        return std::nullopt;
    }
    PeerWatch::TimePoint now{1000s};
    const std::shared_ptr<Wire> wire = std::make_shared<Wire>();
    WireChannel channel{wire};
    const std::shared_ptr<LifelinePeer> line = std::make_shared<LifelinePeer>();
    bool lively = true;
    PeerWatch watch;
};

}  // namespace

TEST_CASE("peer watch: an unknown peer may be silent for a while, or has to speak", "[life]") {
    PeerWatchBench silent;
    silent.lively = false;
    CHECK_FALSE(silent.pass(950ms, welcome_due));
    CHECK(silent.pass(50ms, welcome_due) == "nothing was heard of it for too long");
    PeerWatchBench lively;
    CHECK_FALSE(lively.pass(2s, welcome_due));
    PeerWatchBench mute(PeerWatch::Unknown::has_to_speak);
    CHECK(mute.pass(1s, nothing_due) == "nothing was heard of it for too long");
}

TEST_CASE("peer watch: a lively peer that does not say welcome is lost", "[life]") {
    PeerWatchBench bench;
    CHECK_FALSE(bench.pass(3s, welcome_due));
    CHECK_FALSE(bench.watch.is_stuck());
    CHECK(bench.pass(50ms, welcome_due) ==
          "it gives signs of life and gets no further: it has owed its welcome for 3.0 s");
    CHECK(bench.watch.is_stuck());
}

TEST_CASE("peer watch: silence of the channel and of the lifeline are losses", "[life]") {
    PeerWatchBench channel;
    channel.join();
    channel.lively = false;
    CHECK(channel.pass(200ms, nothing_due) == "nothing was heard of it for too long");
    PeerWatchBench line;
    line.join();
    line.line->last_sign = [begin = line.now] { return begin; };
    CHECK(line.pass(200ms, nothing_due) == "no sign of life came by its lifeline for too long");
}

TEST_CASE("peer watch: a peer whose signs come and whose working thread stands is lost", "[life]") {
    PeerWatchBench bench;
    bench.join();
    bench.wire->handled = 0;
    bench.wire->traffic.sent = 500;
    CHECK_FALSE(bench.pass(3s, nothing_due));
    CHECK(bench.pass(50ms, nothing_due) ==
          "it gives signs of life and gets no further: it has done nothing for 3.0 s, and 500 "
          "bytes are not handled");
}

TEST_CASE("peer watch: before its first sign nobody knows what a peer has handled", "[life]") {
    PeerWatchBench bench;
    bench.join();
    bench.line->last_sign = [] { return std::nullopt; };
    bench.wire->traffic.sent = 500;
    CHECK_FALSE(bench.pass(4900ms, nothing_due));
    CHECK(bench.pass(100ms, nothing_due) == "its lifeline does not begin");
}

TEST_CASE("peer watch: its signs say what was handled, since the channel began", "[life]") {
    PeerWatchBench bench;
    bench.watch.received({FrameType::welcome, Buffer(16), 0});
    bench.watch.handled();
    bench.join();
    CHECK(bench.line->told == frame_header_size + 16);
    bench.watch.received({FrameType::ack, Buffer(8), 0});
    CHECK(bench.line->told == frame_header_size + 16);
    bench.watch.handled();
    CHECK(bench.line->told == 2 * frame_header_size + 24);
    bench.watch.received({FrameType::heartbeat, Buffer(8), 0});
    bench.watch.handled();
    CHECK(bench.line->told == 2 * frame_header_size + 24);
}

TEST_CASE("peer watch: whoever is waited for longer than a second is named", "[life]") {
    const CapturedLog log;
    PeerWatchBench bench;
    bench.join();
    CHECK_FALSE(bench.pass(1s, welcome_due));
    CHECK(log.count("waiting for") == 0);
    CHECK_FALSE(bench.pass(100ms, welcome_due));
    CHECK(log.has("waiting for the peer: its welcome is owed"));
    CHECK_FALSE(bench.pass(100ms, nothing_due));
    CHECK(log.has("the peer gets on again; it was waited for"));
}

TEST_CASE("peer watch: a longer silence that is allowed allows more time to get on", "[life]") {
    CHECK(getting_on_within(200ms) == 3s);
    CHECK(getting_on_within(2s) == 8s);
}

TEST_CASE("peer watch: it is looked at before anything can be late", "[life]") {
    PeerWatchBench bench;
    bench.join();
    CHECK_FALSE(bench.pass(50ms, welcome_due));
    CHECK(bench.watch.next_look() <= bench.now + 500ms);
    CHECK(bench.watch.next_look() > bench.now);
}
