// SPDX-License-Identifier: Apache-2.0
// A Primary without a machine, a network, an arbiter or a clock: the test plays all of them, and
// sees what the primary sends and asks for.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "lockstep/primary/primary.h"
#include "support/fake_lifeline.h"

namespace fmvm::test {

// What went over a connection; it outlives the primary's end of it.
struct Wire {
    struct Message {
        lockstep::FrameType type;
        std::vector<std::uint8_t> body;
    };
    std::vector<Message> sent;
    std::size_t queued_bytes = 0;
    lockstep::Traffic traffic;
    std::chrono::steady_clock::time_point heard;
    bool closed = false;
    // How far the peer's working thread is; nothing: it has handled all that it was sent.
    std::optional<std::uint64_t> handled;
    std::uint64_t steps = 0;

    std::size_t count(lockstep::FrameType type) const {
        return static_cast<std::size_t>(std::ranges::count(sent, type, &Message::type));
    }
    // The last message of its type, or an invalid one.
    Message last(lockstep::FrameType type) const {
        const auto found = std::ranges::find(sent.rbegin(), sent.rend(), type, &Message::type);
        return found == sent.rend() ? Message{lockstep::FrameType::invalid, {}} : *found;
    }
};

class WireChannel : public lockstep::Channel {
  public:
    explicit WireChannel(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
    void start(lockstep::ChannelUser&) override {}
    std::uint64_t send(lockstep::FrameType type, lockstep::GatheredBody body) override {
        wire_->sent.push_back({type, body.flat()});
        wire_->traffic.sent += lockstep::counted_bytes(type, body.size());
        return body.digest();
    }
    std::uint64_t send_with_next(lockstep::FrameType type, lockstep::GatheredBody body) override {
        return send(type, std::move(body));
    }
    void keep_alive(std::chrono::milliseconds, lockstep::Heartbeat::Role) override {}
    std::chrono::steady_clock::time_point last_heard() const override { return wire_->heard; }
    std::size_t queued_bytes() const override { return wire_->queued_bytes; }
    lockstep::Traffic traffic() const override { return wire_->traffic; }
    void close() override { wire_->closed = true; }
    std::string peer() const override { return "the peer"; }

  private:
    std::shared_ptr<Wire> wire_;
};

// Shows everything at once.
class ShowingSink : public OutputSink {
  public:
    void write(std::span<const std::uint8_t> bytes) override {
        shown.append(bytes.begin(), bytes.end());
    }
    bool has_room() const override { return true; }
    std::uint64_t unwritten() const override { return 0; }
    std::vector<std::uint8_t> unwritten_bytes() const override { return {}; }
    void on_room(std::function<void()>) override {}
    std::string shown;
};

// A source of checkpoints: two messages of initial copy, and one of pages for each cut.
class ScriptedSource : public lockstep::CheckpointSource {
  public:
    explicit ScriptedSource(lockstep::ConsoleGate& gate) : gate_(gate) {}

    Result<void> begin() override {
        if (!begin_error.empty()) return Error(begin_error);
        begun = true;
        initial_left = slow ? 1000 : 2;
        return {};
    }
    Result<lockstep::OutgoingMessage> next_initial() override {
        if (!copy_error.empty()) return Error(copy_error);
        if (initial_left == 0 || initial_waits) return lockstep::OutgoingMessage{};
        if (slow && (pauses_ = !pauses_)) return lockstep::OutgoingMessage{};
        --initial_left;
        return pages(1);
    }
    bool initial_done() const override { return initial_left == 0 && !initial_waits; }
    std::string initial_progress() const override { return "12 %, 99 s left"; }
    bool awaits_backup() const override { return awaits_disks; }
    Result<void> disk_message(const lockstep::Frame&) override {
        ++disk_messages;
        return {};
    }
    Result<void> cut(lockstep::EpochId epoch, bool stay_stopped) override {
        if (!cut_error.empty()) return Error(cut_error);
        epoch_ = epoch;
        pieces_ = 1;
        ++cuts;
        writes_waiting_since.reset();
        stands = stay_stopped;
        gate_.hold();
        output_ = epoch == 1 ? gate_.close_first_epoch() : gate_.close_epoch();
        return {};
    }
    lockstep::OutgoingMessage next_message() override {
        if (pieces_ == 0) return {};
        --pieces_;
        return pages(epoch_);
    }
    const std::vector<std::uint8_t>& state() const override { return state_; }
    const lockstep::ConsoleGate::EpochOutput& output() const override { return output_; }
    const std::vector<std::uint64_t>& digests() const override { return digests_; }
    const lockstep::CutReport& report() const override { return report_; }
    const lockstep::PageCounts& counts() const override { return counts_; }
    replay::BlockCounts block_counts() const override { return {}; }
    void digest_next() override { ++digests_asked; }
    replay::Scrubber* begin_scrub(std::uint64_t) override { return scrubber; }
    void end_scrub() override { ++scrubs_ended; }
    void committed(lockstep::EpochId epoch) override { last_committed = epoch; }
    bool finish_last_requests() override { return disks_idle; }
    std::optional<std::chrono::steady_clock::time_point> waiting_since() const override {
        return writes_waiting_since;
    }
    std::vector<lockstep::PacketMessage> take_packets() override {
        return std::exchange(packets, {});
    }
    void resume() override { stands = false; }
    void go_on() override { stands = false; }
    void end() override {
        begun = false;
        stands = false;
    }

    std::string begin_error;
    std::string copy_error;
    std::string cut_error;
    bool initial_waits = false;
    bool awaits_disks = false;
    bool slow = false;  // one message of the initial copy a turn
    bool disks_idle = true;
    std::optional<std::chrono::steady_clock::time_point> writes_waiting_since;
    replay::Scrubber* scrubber = nullptr;
    std::vector<lockstep::PacketMessage> packets;

    bool begun = false;
    bool stands = false;
    unsigned initial_left = 0;
    unsigned cuts = 0;
    unsigned disk_messages = 0;
    unsigned digests_asked = 0;
    unsigned scrubs_ended = 0;
    lockstep::EpochId last_committed = 0;

  private:
    static lockstep::OutgoingMessage pages(lockstep::EpochId epoch) {
        return {lockstep::FrameType::pages,
                std::vector<std::uint8_t>{'p', static_cast<std::uint8_t>(epoch)}};
    }
    lockstep::ConsoleGate& gate_;
    lockstep::EpochId epoch_ = 0;
    unsigned pieces_ = 0;
    bool pauses_ = true;
    std::vector<std::uint8_t> state_{1, 2, 3, 4, 5, 6, 7, 8};
    lockstep::ConsoleGate::EpochOutput output_;
    std::vector<std::uint64_t> digests_;
    lockstep::CutReport report_;
    lockstep::PageCounts counts_;
};

class PrimaryBench : public lockstep::PrimaryHost {
  public:
    using Duration = TimePoint::duration;
    using State = lockstep::PrimaryState;

    explicit PrimaryBench(const lockstep::PrimaryOptions& options = default_options())
        : primary(options, source, gate, stats, *permit, *this) {}

    static lockstep::PrimaryOptions default_options() {
        lockstep::PrimaryOptions options;
        options.generation = 1;
        options.shape.memory_bytes = 64 * mib;
        options.shape.vcpus = 1;
        return options;
    }

    // The peer.
    void connect() {
        wire = std::make_shared<Wire>();
        wire->heard = time;
        primary.connected(std::make_unique<WireChannel>(wire));
    }
    void receive(lockstep::FrameType type, const std::vector<std::uint8_t>& body = {}) {
        wire->heard = time;
        primary.frame_received({type, Buffer(body.begin(), body.end()), 0});
    }
    template <typename Message>
    void receive(const Message& message) {
        receive(Message::type, message.encode());
    }
    void acknowledge(lockstep::EpochId epoch) { receive(lockstep::AckMessage{epoch}); }
    // Why the primary refused the peer, or nothing.
    std::string refusal() const {
        const Wire::Message last = wire->last(lockstep::FrameType::refuse);
        if (last.type == lockstep::FrameType::invalid) return {};
        return lockstep::RefuseMessage::decode(last.body).value().reason;
    }

    // The guest.
    void emit(std::string_view text) {
        gate.write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    }

    // The clock. The peer lives meanwhile.
    void pass(Duration duration) {
        time += duration;
        if (wire) wire->heard = time;
        primary.tick();
    }
    // The next epoch is cut, sent and acknowledged.
    void one_epoch() {
        pass(std::chrono::milliseconds(60));
        acknowledge(source.last_committed + 1);
    }

    // From a new bench to this state, in which a backup is in step if it can be.
    void reach(State state) {
        if (state == State::alone) return;
        if (state == State::finished) {
            primary.guest_ended("the guest powered off");
            return;
        }
        connect();
        if (state == State::greeting) return;
        source.initial_waits = state == State::copying;
        receive(lockstep::WelcomeMessage{});
        if (state == State::copying) return;
        acknowledge(1);
        if (state == State::following) return;
        if (state == State::deciding) {
            primary.channel_lost("it is gone");
            return;
        }
        begin_switch_over();
        acknowledge(2);
    }
    // Both sides could claim.
    void begin_switch_over() {
        if (!primary.switch_over().ok()) return;
        primary.claim_tried({});
        receive(lockstep::ClaimTriedMessage{});
    }

    TimePoint now() override { return time; }
    void claim(lockstep::Generation wanted) override { claims.push_back(wanted); }
    void try_claim() override { ++trials; }
    Result<std::unique_ptr<lockstep::Lifeline>> join(const std::string&,
                                                     const lockstep::JoinMessage& message,
                                                     lockstep::Lifeline::Terms terms) override {
        joined_by = message;
        lifeline_terms.emplace(std::move(terms));
        lifeline = std::make_shared<LifelinePeer>();
        if (lifeline_lives) lifeline->last_sign = [line = wire] { return line->heard; };
        lifeline->work = [line = wire] {
            return lockstep::WorkDone{.handled = line->handled.value_or(line->traffic.sent),
                                      .steps = line->steps};
        };
        return std::unique_ptr<lockstep::Lifeline>(std::make_unique<FakeLifeline>(lifeline));
    }
    void welcomed(const lockstep::JoinMessage& sentinel) override { sentinels.push_back(sentinel); }
    void stays(const std::string& reason) override { stayed = reason; }
    void copied() override { ++copies_over; }
    void generation_changed(lockstep::Generation to) override { generation = to; }
    void drain_output() override {}
    void verified(const lockstep::VerifyOutcome& outcome) override { verified_as = outcome; }
    void want_connection(Duration after) override { connect_after = after; }
    void finished(lockstep::PrimaryEnd with, const std::string& reason) override {
        end = with;
        why = reason;
        ++ends;
    }

    const std::shared_ptr<lockstep::PairPermit> permit = lockstep::PairPermit::create().value();
    bool lifeline_lives = true;  // the next one gives a sign
    std::shared_ptr<LifelinePeer> lifeline;
    std::optional<lockstep::Lifeline::Terms> lifeline_terms;
    std::optional<lockstep::JoinMessage> joined_by;
    TimePoint time{std::chrono::seconds(1000)};
    std::vector<lockstep::Generation> claims;
    std::vector<lockstep::JoinMessage> sentinels;  // that may join
    unsigned trials = 0;                           // of claims
    std::string stayed;                            // why a switchover did not come about
    unsigned copies_over = 0;
    lockstep::Generation generation = 1;
    std::optional<lockstep::VerifyOutcome> verified_as;
    std::optional<Duration> connect_after;
    std::optional<lockstep::PrimaryEnd> end;
    std::string why;
    unsigned ends = 0;

    std::shared_ptr<Wire> wire;
    ShowingSink sink;
    lockstep::ConsoleGate gate{sink, 0, [this] { return time; }};
    ScriptedSource source{gate};
    lockstep::EpochStats stats;
    lockstep::Primary primary;
};

// Quiet, and in this state.
struct ReachedPrimary : PrimaryBench {
    explicit ReachedPrimary(lockstep::PrimaryState state,
                            const lockstep::PrimaryOptions& options = default_options())
        : PrimaryBench(options) {
        log::set_level(log::Level::error);
        reach(state);
        REQUIRE(primary.state() == state);
    }
};

}  // namespace fmvm::test
