// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/primary.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crash_point.h"
#include "base/log.h"

namespace fmvm::lockstep {

namespace {

// How long pump() works before others (heartbeats, frames of the peer) have their turn.
constexpr std::chrono::milliseconds slice{5};

}  // namespace

Primary::Primary(const PrimaryOptions& options, CheckpointSource& source, ConsoleGate& gate,
                 EpochStats& stats, PairPermit& permit, PrimaryHost& host)
    : options_(options),
      source_(source),
      gate_(gate),
      stats_(stats),
      permit_(permit),
      host_(host),
      generation_(options.generation),
      policy_(options.policy),
      switch_over_({source, gate, stats, policy_, ending_, permit}, host) {}

Primary::~Primary() = default;

void Primary::enter(State state) {
    state_.enter(state);
    timers_.clear();
    claiming_.over(host_.now());
    check_state();
}

// What holds when a state is entered.
void Primary::check_state() const {
    FMVM_CHECK(link_.has_value() == has_link(state()));
    switch (state()) {
        case State::alone:
        case State::greeting:
        case State::copying:
        case State::following:
            // An end of such a guest is carried out at once; a switchover needs a commit.
            FMVM_CHECK(!ending_.begun());
            FMVM_CHECK(!link_ || link_->epochs.last_cut() == 0);
            break;
        case State::handing_over:
            // The guest stands, and the backup has all of it.
            FMVM_CHECK(ending_.hands_over() && link_->protection.last_epoch_acknowledged());
            break;
        case State::deciding:
        case State::finished:
            break;
    }
}

bool Primary::is_protected() const {
    return state_.is(State::following) && link_->epochs.commit_sent() && !ending_.begun();
}

void Primary::finish(PrimaryEnd end, const std::string& why) {
    if (state_.is(State::finished)) return;
    if (link_) link_->end(why);
    link_.reset();
    enter(State::finished);
    host_.finished(end, why);
}

void Primary::connected(std::unique_ptr<Channel> channel) {
    if (!state_.is(State::alone)) return;
    link_.emplace(std::move(channel),
                  PrimaryParts{source_, gate_, stats_, policy_, ending_, permit_}, options_, host_);
    enter(State::greeting);
    link_->channel->keep_alive(options_.heartbeat, Heartbeat::Role::answers);
    link_->channel->start(*this);
    link_->send(hello_of(options_, generation_));
}

void Primary::not_connected(const std::string& peer, const std::string& reason) {
    if (!state_.is(State::alone)) return;
    search_.not_connected();
    search_.failed(peer, reason, host_.now());
    host_.want_connection(search_.delay());
}

Result<void> Primary::switch_over() {
    if (!is_protected()) return Error("no backup is in step");
    return switch_over_.begin(*link_, SwitchOver::Asker::this_side);
}

void Primary::give_up_switch_over(const std::string& why) {
    if (link_) switch_over_.give_up(*link_, why);
    pump();
}

void Primary::claim_tried(const Result<void>& tried) {
    if (link_) switch_over_.arbiter_answered(*link_, tried);
    pump();
}

Result<void> Primary::verify(const VerifyOptions& options) {
    if (!is_protected())
        return Error("no backup is in step; wait until the log says that the guest is protected");
    FMVM_TRY(link_->verifier.begin(options, link_->epochs.last_cut() + 1));
    pump();
    return {};
}

void Primary::guest_ended(const std::string& reason) {
    switch (state()) {
        case State::alone:
        case State::greeting:
        case State::copying:
            gate_.open();  // nobody could take over: what waits is as good as committed
            if (link_) link_->send(RefuseMessage{fmt::format("the guest has ended: {}", reason)});
            finish(PrimaryEnd::guest_ended, reason);
            return;
        case State::following:
        case State::handing_over:
        case State::deciding:
            ending_.guest_ended(reason, host_.now());
            pump();
            return;
        case State::finished:
            return;
    }
}

void Primary::packets_waiting() {
    if (state_.is(State::following)) link_->protection.forward_packets();
}

// A side that decides, or hands over, learns it from the claim, or from the backup.
void Primary::superseded() {
    if (state_.is(State::deciding) || state_.is(State::handing_over)) return;
    finish(PrimaryEnd::superseded, "another side has begun to run this guest");
}

Primary::TimePoint Primary::deadline() const {
    TimePoint due = std::min(timers_.earliest(), claiming_.deadline());
    if (!link_) return due;
    due = std::min(due, switch_over_.deadline());
    due = std::min(due, link_->watch.next_look());
    // With a full queue pump() waits for it to drain, whatever is due.
    return link_->has_room() ? std::min(due, link_->protection.next_work()) : due;
}

void Primary::tick() {
    const TimePoint now = host_.now();
    if (claiming_.tick(now)) claim();
    if (!link_) return;
    if (const auto why = link_->lost(now)) return refuse_peer(*why);
    // It may win yet, or have won; so it is not asked to give up: both claim.
    if (timers_.expired(PrimaryTimer::take_over_limit, now))
        return refuse_peer("it was asked to take over and did not in time");
    switch_over_.tick(*link_);
    pump();
    if (link_) link_->verifier.look();
}

void Primary::pump() {
    const TimePoint began = host_.now();
    timers_.clear(PrimaryTimer::next_slice);
    while (link_ && link_->has_room() && step()) {
        if (host_.now() - began < slice) continue;
        timers_.set(PrimaryTimer::next_slice, TimePoint::min());
        return;
    }
}

// Sends one message or makes one cut; false when there is nothing to do now.
bool Primary::step() {
    if (!state_.is(State::copying) && !state_.is(State::following)) return false;
    const Result<bool> done = state_.is(State::copying) ? copy() : link_->protection.follow();
    if (done.ok()) return done.value();
    host_failed(done.error().message());
    return false;
}

Result<bool> Primary::copy() {
    const Protection::Copied copied = FMVM_TRY(link_->protection.copy());
    if (copied != Protection::Copied::enough) return copied == Protection::Copied::message;
    enter(State::following);
    FMVM_TRY(link_->protection.cut());
    return true;
}

// A backup that has committed an epoch has a machine that is whole. Before that, this one is all
// there is, and goes on without protection.
void Primary::host_failed(const std::string& reason) {
    if (link_->epochs.commit_sent()) return finish(PrimaryEnd::failed, reason);
    refuse_peer(reason);
}

void Primary::frame_received(Frame frame) {
    FMVM_CHECK(link_);
    link_->watch.received(frame);
    const Result<void> handled = handle(frame);
    if (!handled.ok()) return refuse_peer(handled.error().message());
    if (link_) link_->watch.handled();
    if (link_) link_->verifier.look();
    pump();
}

Result<void> Primary::handle(const Frame& frame) {
    FMVM_TRY(check_turn(frame.type, state()));
    switch (frame.type) {
        case FrameType::welcome:
            return handle_welcome(frame);
        case FrameType::ack:
            return handle_ack(frame);
        case FrameType::switched:
            return handle_switched(frame);
        case FrameType::heartbeat:
            FMVM_TRY(HeartbeatMessage::decode(frame.body));
            return {};
        case FrameType::disk_known:
        case FrameType::disk_ready:
        case FrameType::disk_wanted:
        case FrameType::disk_done:
        case FrameType::disk_serial:
            return source_.disk_message(frame);
        case FrameType::disk_checked:
            return link_->verifier.checked(frame);
        case FrameType::unfit:
            return handle_unfit(frame);
        case FrameType::ask_switch_over:
        case FrameType::ask_stay:
            return switch_over_.backup_wishes(*link_, frame);
        case FrameType::claim_tried:
            return switch_over_.backup_answered(*link_, frame);
        case FrameType::refuse:
            return handle_refusal(frame);
        default:  // one that says nothing to this side
            return {};
    }
}

Result<void> Primary::handle_welcome(const Frame& frame) {
    const WelcomeMessage welcome = FMVM_TRY(WelcomeMessage::decode(frame.body));
    const Result<void> begun = source_.begin();
    if (!begun.ok()) {
        source_.end();
        return begun.error();
    }
    FMVM_TRY(link_->join({JoinKind::lifeline, options_.vm, generation_, welcome.session}, options_,
                         host_));
    host_.welcomed({JoinKind::sentinel, options_.vm, generation_, welcome.session});
    log::info("primary", "copying the guest to {}", link_->peer);
    enter(State::copying);
    return {};
}

Result<void> Primary::handle_ack(const Frame& frame) {
    const AckMessage ack = FMVM_TRY(AckMessage::decode(frame.body));
    FMVM_TRY(link_->protection.acknowledged(ack.epoch));
    search_.found(host_.now());
    if (link_->protection.last_epoch_acknowledged()) end_with_last_epoch();
    return {};
}

void Primary::end_with_last_epoch() {
    host_.drain_output();
    if (ending_.kind() == Ending::Kind::guest_end) {
        crash_point("guest-ended");
        link_->send(EndedMessage{*ending_.guest_end_reason()});
        finish(PrimaryEnd::guest_ended, *ending_.guest_end_reason());
        return;
    }
    crash_point("switch-over");
    switch_over_.handed_over(*link_);
    // The guest stands; what was released has been written: nothing is repeated on the other side.
    link_->send(HeartbeatMessage{gate_.shown()});
    link_->send(SwitchOverMessage{link_->epochs.last_cut()});
    enter(State::handing_over);
    timers_.set(PrimaryTimer::take_over_limit, host_.now() + SwitchOver::taking_over_max);
}

// Whoever claims to have taken over has claimed the next generation. That is not believed but
// asked: this side claims it, too, and loses.
Result<void> Primary::handle_switched(const Frame& frame) {
    const SwitchedMessage switched = FMVM_TRY(SwitchedMessage::decode(frame.body));
    if (switched.generation <= generation_) return Error("it took over out of turn");
    const std::string& where = switch_over_.taken_over(*link_);
    if (options_.has_arbiter) {
        link_->end(where);
        link_.reset();
        decide();
    } else {
        finish(PrimaryEnd::handed_over, where);
    }
    return {};
}

Result<void> Primary::handle_unfit(const Frame& frame) {
    UnfitMessage unfit = FMVM_TRY(UnfitMessage::decode(frame.body));
    log::error("primary", "the backup {} is not equal any more: {}", link_->peer, unfit.reason);
    link_->unfit = true;
    link_->verifier.end({VerifyOutcome::Kind::different, std::move(unfit.reason)});
    return Error("it is not equal any more");
}

Result<void> Primary::handle_refusal(const Frame& frame) {
    const RefuseMessage refusal = FMVM_TRY(RefuseMessage::decode(frame.body));
    // One that said welcome and was never in step: its disk fails, or its host lacks what the guest
    // needs.
    if (!state_.is(State::greeting) && !link_->protection.in_step_since()) link_->unfit = true;
    return make_error("it refuses: {}", refusal.reason);
}

void Primary::channel_lost(const std::string& reason) {
    peer_lost(reason);
}

void Primary::refuse_peer(const std::string& reason) {
    link_->refuse(reason);
    peer_lost(reason);
}

void Primary::peer_lost(std::string reason) {  // a copy: the channel may own it
    FMVM_CHECK(link_);
    link_->verifier.end({VerifyOutcome::Kind::unfinished,
                         fmt::format("the backup was lost meanwhile: {}", reason)});
    const std::string peer = link_->peer;
    const bool could_take_over = link_->epochs.commit_sent();
    const TimePoint now = host_.now();
    search_.connection_over(now - link_->protection.in_step_since().value_or(now), link_->unfit);
    link_.reset();
    if (!could_take_over) {
        search_.failed(peer, reason, now);
        return go_alone();
    }
    log::warning("primary", "lost the backup {}: {}", peer, reason);
    search_.found(now);
    const bool ends = ending_.kind() == Ending::Kind::guest_end;
    if (options_.on_backup_lost == OnBackupLost::stop && !ends)
        return finish(PrimaryEnd::backup_lost, reason);
    switch_over_.backup_lost(reason);
    decide();
}

// The backup may run the guest from a committed epoch on.
void Primary::decide() {
    enter(State::deciding);
    // After its last cut the guest stands until it is known who has it. Otherwise it runs on, and
    // its output is held all the same.
    if (!ending_.last_cut_made()) source_.resume();
    claim();
}

void Primary::claim() {
    claiming_.asked(host_.now());
    host_.claim(generation_ + 1);
}

void Primary::claimed(Result<Claim> claim) {
    FMVM_CHECK(state_.is(State::deciding) && claiming_.is_asking());
    if (!claim.ok()) {
        claiming_.no_answer(claim.error().message(), host_.now());
        return;
    }
    const std::optional<std::string> handed_over = switch_over_.decided();
    if (*claim == Claim::lost) {
        return finish(handed_over ? PrimaryEnd::handed_over : PrimaryEnd::superseded,
                      handed_over.value_or("the backup has taken over"));
    }
    if (ending_.hands_over()) host_.stays("the backup said that it had taken over, and had not");
    host_.generation_changed(++generation_);
    go_alone();
    if (state_.is(State::alone))
        log::warning("primary", "running unprotected generation={}", generation_);
}

// Nobody else runs this guest, nor could: what waits may go.
void Primary::go_alone() {
    FMVM_CHECK(!link_);
    if (!state_.is(State::greeting)) gate_.open();
    if (ending_.guest_end_reason())
        return finish(PrimaryEnd::guest_ended, *ending_.guest_end_reason());
    ending_ = {};
    permit_.won();
    if (!state_.is(State::greeting)) source_.end();
    enter(State::alone);
    host_.copied();
    host_.want_connection(search_.delay());
}

}  // namespace fmvm::lockstep
