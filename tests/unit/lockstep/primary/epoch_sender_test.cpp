// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/epoch_sender.h"

#include <catch2/catch.hpp>

#include "base/digest.h"
#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

struct SenderBench {
    Result<void> cut(bool stay_stopped = false) { return epochs.cut(stay_stopped, time); }
    void send_all() {
        while (epochs.is_sending())
            epochs.send_next();
    }
    CommitMessage last_commit() const {
        return CommitMessage::decode(wire->last(FrameType::commit).body).value();
    }
    void emit(std::string_view text) {
        gate.write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    }

    EpochSender::TimePoint time{1000s};
    std::shared_ptr<test::Wire> wire = std::make_shared<test::Wire>();
    test::WireChannel channel{wire};
    test::ShowingSink sink;
    ConsoleGate gate{sink, 0, [this] { return time; }};
    test::ScriptedSource source{gate};
    const std::shared_ptr<PairPermit> permit = PairPermit::create().value();
    EpochSender epochs{channel, source, gate, *permit};
};

}  // namespace

TEST_CASE("epoch sender: an epoch is pages, state, output and at last the commit", "[primary]") {
    SenderBench bench;
    REQUIRE(bench.cut().ok());
    bench.send_all();
    bench.emit("held");
    REQUIRE(bench.epochs.acknowledged(1).ok());
    bench.wire->sent.clear();
    REQUIRE(bench.cut().ok());
    CHECK(bench.epochs.last_cut() == 2);
    bench.send_all();

    std::vector<FrameType> types;
    std::uint64_t digest = 0;
    for (const auto& message : bench.wire->sent) {
        types.push_back(message.type);
        if (message.type != FrameType::commit)
            digest = chain_digest(digest, digest_of(message.body));
    }
    CHECK(types ==
          std::vector{FrameType::pages, FrameType::state, FrameType::output, FrameType::commit});
    CHECK(bench.last_commit().epoch == 2);
    CHECK(bench.last_commit().digest == digest);
    CHECK(bench.last_commit().output_shown == 0);
    CHECK(bench.last_commit().output_end == 4);
}

TEST_CASE("epoch sender: a backup could take over from the first commit on", "[primary]") {
    SenderBench bench;
    CHECK(bench.epochs.last_cut() == 0);
    REQUIRE(bench.cut().ok());
    CHECK_FALSE(bench.epochs.commit_sent());
    bench.epochs.send_next();  // its pages
    CHECK_FALSE(bench.epochs.commit_sent());
    bench.send_all();
    CHECK(bench.epochs.commit_sent());
}

TEST_CASE("epoch sender: the first state travels whole, the next ones as differences",
          "[primary]") {
    SenderBench bench;
    const auto encoding = [&] {
        return StateMessage::decode(bench.wire->last(FrameType::state).body).value().encoding;
    };
    REQUIRE(bench.cut().ok());
    bench.send_all();
    CHECK(encoding() == StateEncoding::whole);
    REQUIRE(bench.cut().ok());
    bench.send_all();
    CHECK(encoding() == StateEncoding::delta);
}

TEST_CASE("epoch sender: epochs are acknowledged once, and in order", "[primary]") {
    SenderBench bench;
    CHECK(bench.epochs.acknowledged(1).error().message() == "it acknowledged epoch 1 out of turn");
    REQUIRE(bench.cut().ok());
    CHECK_FALSE(bench.epochs.acknowledged(1).ok());  // its commit is not sent
    bench.send_all();
    bench.time += 7ms;
    bench.emit("abc");
    REQUIRE(bench.cut().ok());
    CHECK_FALSE(bench.epochs.all_acknowledged());
    bench.send_all();
    CHECK(bench.epochs.unacknowledged() == 2);
    CHECK_FALSE(bench.epochs.acknowledged(2).ok());
    CHECK(bench.epochs.acknowledged(1).value().output_end == 0);
    CHECK_FALSE(bench.epochs.acknowledged(1).ok());
    const SentEpoch second = bench.epochs.acknowledged(2).value();
    CHECK(second.output_end == 3);
    CHECK(second.record.interval == 7ms);
    CHECK(second.record.output_bytes == 3);
    CHECK(bench.epochs.all_acknowledged());
}

TEST_CASE("epoch sender: the bytes of an epoch are those of its own frames", "[primary]") {
    SenderBench bench;
    REQUIRE(bench.cut().ok());
    bench.send_all();
    std::uint64_t bytes = 0;
    for (const auto& message : bench.wire->sent)
        bytes += message.body.size() + frame_header_size;
    CHECK(bench.epochs.acknowledged(1).value().record.bytes == bytes);
}

TEST_CASE("epoch sender: a cut that fails leaves nothing to send", "[primary]") {
    SenderBench bench;
    bench.source.cut_error = "no state";
    CHECK(bench.cut().error().message() == "no state");
    CHECK_FALSE(bench.epochs.is_sending());
    CHECK(bench.wire->sent.empty());
}
