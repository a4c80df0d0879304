// SPDX-License-Identifier: Apache-2.0
// A Backup on the workbench: its primary, clock, machine, disks and arbiter do what the test says.
#pragma once

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/log.h"
#include "lockstep/backup/backup.h"
#include "lockstep/wire/block_log_codec.h"
#include "support/fake_lifeline.h"

namespace fmvm::test {

// What the other end of a connection has seen of this side. `events`: of the bench.
struct PrimarySide {
    std::vector<std::string>& events;
    std::vector<lockstep::FrameType> got;
    std::string address;
    std::string refusal;  // the last
    std::optional<lockstep::KnownGuestMessage> known;
    lockstep::SessionId session{};  // of the last welcome
    bool closed = false;
    std::size_t unread = 0;                                         // bytes
    std::optional<lockstep::BackupHost::TimePoint> silent_since{};  // nothing: it is lively
    lockstep::Traffic traffic{};                                    // of this side
    // How far its working thread is; nothing: it has handled all that it was sent.
    std::optional<std::uint64_t> handled{};
    std::uint64_t steps = 0;
};

inline std::shared_ptr<PrimarySide> new_side(std::vector<std::string>& events,
                                             const std::string& address) {
    return std::make_shared<PrimarySide>(
        PrimarySide{.events = events, .got = {}, .address = address, .refusal = {}, .known = {}});
}

inline bool got(const PrimarySide& primary, lockstep::FrameType type) {
    return std::ranges::count(primary.got, type) != 0;
}

class BenchChannel : public lockstep::Channel {
  public:
    BenchChannel(std::shared_ptr<PrimarySide> primary, const lockstep::BackupHost::TimePoint& now)
        : primary_(std::move(primary)), now_(now) {}

    void start(lockstep::ChannelUser&) override {}
    std::uint64_t send(lockstep::FrameType type, lockstep::GatheredBody body) override {
        primary_->got.push_back(type);
        primary_->events.push_back(name_of(type));
        primary_->traffic.sent += lockstep::counted_bytes(type, body.size());
        if (type == lockstep::FrameType::refuse)
            primary_->refusal = lockstep::RefuseMessage::decode(body.flat()).value().reason;
        if (type == lockstep::FrameType::known_guest)
            primary_->known = lockstep::KnownGuestMessage::decode(body.flat()).value();
        if (type == lockstep::FrameType::welcome)
            primary_->session = lockstep::WelcomeMessage::decode(body.flat()).value().session;
        return 0;
    }
    std::uint64_t send_with_next(lockstep::FrameType type, lockstep::GatheredBody body) override {
        return send(type, std::move(body));
    }
    void keep_alive(std::chrono::milliseconds, lockstep::Heartbeat::Role) override {}
    lockstep::BackupHost::TimePoint last_heard() const override {
        return primary_->silent_since.value_or(now_);
    }
    std::size_t queued_bytes() const override { return primary_->unread; }
    lockstep::Traffic traffic() const override { return primary_->traffic; }
    void close() override { primary_->closed = true; }
    std::string peer() const override { return primary_->address + ":1"; }

  private:
    const std::shared_ptr<PrimarySide> primary_;
    const lockstep::BackupHost::TimePoint& now_;
};

class BenchRam : public lockstep::ShadowRam {
  public:
    std::uint64_t page_count() const override { return pages_.size(); }
    std::span<std::uint8_t, page_size> page(PageIndex index) override { return pages_[index]; }

  private:
    alignas(page_size) std::array<std::array<std::uint8_t, page_size>, 3> pages_{};
};

// Disks that carry nothing out. `flushing`: what was replayed is not done with.
class BenchDisks : public lockstep::ShadowDisks {
  public:
    explicit BenchDisks(std::vector<std::string>& events) : events_(events) {}

    bool made_equal = true;
    bool flushing = false;
    bool failed = false;
    bool differ = false;  // from the primary's, as a comparison finds
    bool released = false;

    std::vector<lockstep::OutgoingMessage> known() override { return {}; }
    Result<std::vector<lockstep::OutgoingMessage>> message(const lockstep::Frame&) override {
        return std::vector<lockstep::OutgoingMessage>{};
    }
    bool equal() const override { return made_equal; }
    Result<void> follow() override { return {}; }
    Result<void> check(const replay::BlockRecord&) const override { return {}; }
    Result<void> hear_serial(const replay::SerialMessage&) override { return {}; }
    void hear_commit() override {}
    Result<void> mark(std::span<const replay::BlockRecord>) override { return outcome("mark"); }
    std::vector<lockstep::OutgoingMessage> acknowledge() override { return {}; }
    Result<void> replay(std::span<const replay::BlockRecord>) override { return outcome("replay"); }
    Result<bool> idle() override {
        if (failed) return Error("the disk has failed");
        return !flushing;
    }
    bool at_rest() override { return !flushing; }
    Result<void> check(const replay::CheckMessage&) const override { return {}; }
    Result<void> compare(const replay::CheckMessage&) override {
        if (differ) return Error("the disk differs");
        return {};
    }
    Result<void> sync() override { return outcome("sync"); }
    Result<void> release() override {
        released = true;
        return {};
    }

  private:
    Result<void> outcome(const char* call) {
        events_.push_back(call);
        return failed ? Result<void>(Error("the disk has failed")) : Result<void>{};
    }

    std::vector<std::string>& events_;
};

class BackupBench : public lockstep::BackupHost {
  public:
    using State = lockstep::BackupState;

    BackupBench() { log::set_level(log::Level::error); }

    // Somebody connects.
    std::shared_ptr<PrimarySide> connect(const std::string& address = "the primary") {
        auto side = new_side(events, address);
        backup.connected(std::make_unique<BenchChannel>(side, now_));
        return side;
    }
    void say(lockstep::FrameType type, const lockstep::Body& body = {}) {
        backup.frame_received({type, Buffer(body.begin(), body.end()), digest_of(body)});
    }
    template <typename Message>
    void say(const Message& message) {
        say(Message::type, message.encode());
    }

    // The primary says all that brings this side to `state`, from listening.
    void bring_to(State state);
    void hello();
    // A connection of this kind joins the channel of `primary`. Why it may not; empty: it may.
    std::string join(lockstep::JoinKind kind);
    void begin_lifeline();
    // An epoch in which the guest has flushed its disk.
    void commit(lockstep::EpochId epoch);
    void answer(Result<lockstep::Claim> claim) {
        REQUIRE(claims == 1);
        claims = 0;
        backup.claimed(std::move(claim));
    }
    void pass(std::chrono::milliseconds time) {
        now_ += time;
        if (now_ >= backup.deadline()) backup.tick();
    }

    TimePoint now() override { return now_; }
    Result<Prepared> prepare(const lockstep::HelloMessage&) override {
        ram_ = std::make_unique<BenchRam>();
        return Prepared{ram_.get(), &disks};
    }
    Result<void> check(std::span<const std::uint8_t>) override { return {}; }
    Result<void> accept() override {
        events.push_back("accept");
        return cannot_accept ? Result<void>(Error("no room to remember it")) : Result<void>{};
    }
    void discard() override {
        REQUIRE(ram_);
        ram_.reset();
        ++discarded;
    }
    void claim(lockstep::Generation generation) override {
        CHECK(generation == 2);
        ++claims;
    }
    void try_claim() override { ++trials; }
    void stays(const std::string& why) override { stayed = why; }
    Result<bool> take_disks(lockstep::Generation) override {
        if (cannot_run) return Error("it cannot run");
        return disks_free;
    }
    Result<void> take_over(const lockstep::Shadow& shadow, lockstep::Generation,
                           lockstep::BootTime from) override {
        CHECK(shadow.committed() != 0);
        speak_from = from;
        packets_ahead = shadow.packets().of(0, 0).size();
        return {};
    }
    void guest_ended(const std::string&) override { ended = true; }
    void failed(const std::string& why) override { failure = why; }

    // Messages to the primary and calls of the disks, by their names, in order.
    std::vector<std::string> events;
    BenchDisks disks{events};
    bool durable = false;                  // of the next hello
    std::shared_ptr<PrimarySide> primary;  // the last that said hello
    unsigned claims = 0;                   // that were not answered
    bool lifeline_lives = true;            // of the next hello
    std::shared_ptr<LifelinePeer> lifeline;
    std::optional<lockstep::Lifeline::Terms> lifeline_terms;
    lockstep::BootTime speak_from{-1};  // of the takeover
    std::size_t packets_ahead = 0;      // of the takeover
    unsigned trials = 0;                // of claims
    std::string stayed;
    unsigned discarded = 0;
    bool disks_free = true;
    bool cannot_run = false;
    bool cannot_accept = false;
    bool ended = false;
    std::string failure;
    lockstep::Backup backup{*this, std::chrono::milliseconds(30)};

  private:
    TimePoint now_{std::chrono::seconds(1000)};
    std::unique_ptr<BenchRam> ram_;
};

inline void BackupBench::hello() {
    primary = connect();
    lockstep::HelloMessage hello;
    hello.generation = 1;
    hello.heartbeat_ms = 50;
    hello.lost_after_ms = 200;
    hello.interval_ms = 50;
    hello.shape.memory_bytes = 8 * mib;
    hello.shape.vcpus = 1;
    hello.shape.nets = {{.mac = {}, .mtu = 1500, .features = 0}};
    hello.durable = durable;
    say(hello);
    REQUIRE(backup.state() == State::receiving);
    if (lifeline_lives) begin_lifeline();
}

inline std::string BackupBench::join(lockstep::JoinKind kind) {
    const Result<void> joined = backup.join({kind, lockstep::VmId{}, 1, primary->session});
    return joined.ok() ? "" : joined.error().message();
}

inline void BackupBench::begin_lifeline() {
    REQUIRE(join(lockstep::JoinKind::lifeline).empty());
    lifeline_terms.emplace(backup.lifeline_terms());
    lifeline = std::make_shared<LifelinePeer>();
    lifeline->last_sign = [this, side = primary] { return side->silent_since.value_or(now_); };
    lifeline->work = [side = primary] {
        return lockstep::WorkDone{.handled = side->handled.value_or(side->traffic.sent),
                                  .steps = side->steps};
    };
    backup.lifeline(std::make_unique<FakeLifeline>(lifeline));
}

inline void BackupBench::commit(lockstep::EpochId epoch) {
    replay::BlockRecord flush;
    flush.op = BlockOp::flush;
    lockstep::GatheredBody log = lockstep::begin_block_log_body(epoch);
    append_record(log, flush);
    const lockstep::StateMessage state{epoch, lockstep::StateEncoding::whole, {1, 2, 3}};
    lockstep::CommitMessage commit;
    commit.epoch = epoch;
    for (const lockstep::Body& body : {log.flat(), state.encode()})
        commit.digest = lockstep::chain_digest(commit.digest, digest_of(body));
    say(lockstep::FrameType::block_log, log.flat());
    say(state);
    say(commit);
}

inline void BackupBench::bring_to(State state) {
    using enum lockstep::BackupState;
    if (state == listening) return;
    if (state == greeting) {
        primary = connect();
        return;
    }
    hello();
    if (state == discarding) disks.flushing = true;
    if (state == discarding) return backup.channel_lost("the line is cut");
    if (state == receiving) return;
    commit(1);
    if (state == following) return;
    if (state == finished) return say(lockstep::EndedMessage{"powered off"});
    disks.flushing = state == awaiting_flush;
    say(lockstep::SwitchOverMessage{1});
    if (state == awaiting_flush || state == deciding) return;
    disks_free = state != awaiting_disks;
    answer(lockstep::Claim::won);
}

}  // namespace fmvm::test
