// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/backup.h"

#include <algorithm>

#include "base/crash_point.h"
#include "base/log.h"
#include "lockstep/channel/endpoint.h"

namespace fmvm::lockstep {

namespace {

constexpr std::chrono::milliseconds disk_retry{2};

}  // namespace

// Looks at the invariants when a call comes in and when it is over.
class Backup::Checked {
  public:
    explicit Checked(const Backup& backup) : backup_(backup) { backup_.check_invariants(); }
    ~Checked() { backup_.check_invariants(); }
    Checked(const Checked&) = delete;
    Checked& operator=(const Checked&) = delete;

  private:
    const Backup& backup_;
};

Backup::Backup(BackupHost& host, std::chrono::milliseconds claim_delay)
    : host_(host), claim_delay_(claim_delay), state_(State::listening, backup_transitions()) {}

void Backup::enter(State next) {
    state_.enter(next);
    timers_.clear();
    claiming_.over(host_.now());
}

Backup::TimePoint Backup::deadline() const {
    const TimePoint look = link_ ? link_->next_look() : TimePoint::max();
    return std::min({timers_.earliest(), claiming_.deadline(), look});
}

void Backup::tick() {
    const Checked checked(*this);
    const TimePoint now = host_.now();
    if (timers_.expired(Timer::look_at_flush, now)) look_at_flush();
    if (claiming_.tick(now)) claim();
    if (timers_.expired(Timer::take_disks, now)) take_over();
    if (timers_.expired(Timer::look_at_copy, now)) look_at_copy();
    const auto lost = link_ ? link_->lost(now) : std::nullopt;
    if (!lost) return;
    link_->close();
    primary_lost(*lost);
}

// A connection and what comes of it.

void Backup::connected(std::unique_ptr<Channel> channel) {
    const Checked checked(*this);
    const bool may_wait = state_.is(State::listening) || state_.is(State::greeting);
    if (!may_wait) {
        channel->send(FrameType::known_guest, known_guest().encode());
        return lockstep::refuse(*channel, why_not_listening(state()));
    }
    callers_.add(std::move(channel));
    greet_next();
}

// One at a time: each has a second to say who it is.
void Backup::greet_next() {
    if (!state_.is(State::listening)) return;
    std::unique_ptr<Channel> channel = callers_.next();
    if (!channel) return;
    link_.emplace(std::move(channel), host_.now());
    enter(State::greeting);
    link_->start(*this);
}

Result<void> Backup::join(const JoinMessage& join) {
    const Checked checked(*this);
    if (!link_ || !guest_) return Error("there is no channel here that it could join");
    return guest_->join(join, *link_);
}

Lifeline::Terms Backup::lifeline_terms() {
    return {.interval = guest_->heartbeat(),
            .role = Heartbeat::Role::leads,
            .half = guest_->gate(),
            .lost = [this](auto& why) { link_->watch().lifeline_gone(why, host_.now()); }};
}

bool Backup::ask_for_switch_over() {
    const Checked checked(*this);
    if (!state_.is(State::following)) return false;
    link_->send(FrameType::ask_switch_over, {});
    return true;
}

void Backup::give_up_switch_over() {
    const Checked checked(*this);
    if (state_.is(State::following)) link_->send(FrameType::ask_stay, {});
}

// The primary asks before it stops the guest for a switchover.
void Backup::claim_tried(const Result<void>& tried) {
    const Checked checked(*this);
    if (!state_.is(State::following)) return;
    link_->end_trial(tried);
}

void Backup::channel_lost(const std::string& reason) {
    const Checked checked(*this);
    primary_lost(reason);
}

void Backup::primary_lost(const std::string& reason, std::chrono::milliseconds before_claim) {
    const std::string peer = link_->peer();
    link_.reset();
    switch (state()) {
        case State::greeting:
            no_primary(fmt::format("refused {}: {}", address_in(peer), reason));
            enter(State::listening);
            greet_next();
            break;
        case State::receiving:
            no_primary(
                fmt::format("lost the primary {} before this side was in step, so there is "
                            "nothing to take over: {}",
                            address_in(peer), reason));
            discard();
            break;
        case State::following:
            log::warning("backup", "lost the primary {} epoch={}: {}", peer,
                         guest_->shadow().committed(), reason);
            guest_->is_fit() ? decide(before_claim) : discard();
            break;
        case State::awaiting_flush:
            decide();  // nobody else can keep the guest: durable or not, this side claims
            break;
        default:
            FMVM_CHECK(state_.is(State::deciding));  // the answer is on its way
    }
}

void Backup::superseded(Generation generation) {
    const Checked checked(*this);
    const bool holds = state_.is(State::receiving) || state_.is(State::following);
    if (!holds || guest_->generation() != generation) return;
    const std::string why = fmt::format(
        "generation {} is not the newest any more: this guest runs elsewhere", generation);
    log::warning("backup", "waiting for another primary than {}: {}", link_->peer(), why);
    link_->refuse(why);
    link_.reset();
    discard();
}

// Health checks of a port, and primaries that try again and again, come many times a minute.
void Backup::no_primary(const std::string& text) {
    if (const auto told = no_primary_.is(text, host_.now())) log::warning("backup", "{}", *told);
}

// Messages of the primary. What does not fit, or is wrong, refuses it.

void Backup::frame_received(Frame frame) {
    const Checked checked(*this);
    FMVM_CHECK(link_);
    const bool is_alive = frame.type == FrameType::refuse;  // and claims, having lost this side
    link_->received(frame);
    Result<void> handled = check_turn(frame.type, state());
    if (handled.ok()) handled = handle(std::move(frame));
    if (handled.ok() && link_) handled = link_->handled();
    if (!handled.ok()) refuse(handled.error().message(), is_alive ? claim_delay_ : at_once);
}

Result<void> Backup::handle(Frame frame) {
    switch (frame.type) {
        case FrameType::hello:
            return handle_hello(frame);
        case FrameType::ask_guest:
            return handle_ask_guest(frame);
        case FrameType::commit:
            return handle_commit(frame);
        case FrameType::heartbeat:
            return handle_heartbeat(frame);
        case FrameType::switch_over:
            return handle_switch_over(frame);
        case FrameType::ended:
            return handle_ended(frame);
        case FrameType::try_claim:
            FMVM_TRY(TryClaimMessage::decode(frame.body));
            if (link_->begins_trial(host_.now())) host_.try_claim();
            return {};
        case FrameType::stays:
            host_.stays(FMVM_TRY(StaysMessage::decode(frame.body)).reason);
            return {};
        case FrameType::refuse: {
            const RefuseMessage refusal = FMVM_TRY(RefuseMessage::decode(frame.body));
            return make_error("the primary ends the connection: {}", refusal.reason);
        }
        default:
            return guest_->receive(std::move(frame), *link_, host_.now());
    }
}

Result<void> Backup::handle_hello(const Frame& frame) {
    const HelloMessage hello = FMVM_TRY(HelloMessage::decode(frame.body));
    if (hello.generation == 0) return Error("it has not claimed a generation");
    // Before what takes its time: a machine is built, and disks' labels are made durable.
    link_->keep_alive(std::chrono::milliseconds(hello.heartbeat_ms));
    const BackupHost::Prepared prepared = FMVM_TRY(host_.prepare(hello));
    guest_.emplace(hello, link_->peer(), prepared);
    enter(State::receiving);
    callers_.refuse_all(why_not_listening(state()));
    link_->send(WelcomeMessage{link_->session()});
    link_->send(guest_->known_disks());
    link_->accept(hello, claim_delay_, host_.now());
    log::info("backup", "receiving the guest of {} generation={}", guest_->primary(),
              guest_->generation());
    return {};
}

// Who only asks is gone after the answer.
Result<void> Backup::handle_ask_guest(const Frame& frame) {
    FMVM_TRY(AskGuestMessage::decode(frame.body));
    link_->send(known_guest());
    link_->close();
    link_.reset();
    enter(State::listening);
    greet_next();
    return {};
}

KnownGuestMessage Backup::known_guest() const {
    if (state_.is(State::running)) return taken_over_;
    const GuestPlace place = place_in(state());
    if (place == GuestPlace::nowhere) return {};
    const bool here = place == GuestPlace::here;
    return {place, guest_->vm(), here ? guest_->next_generation() : guest_->generation()};
}

Result<void> Backup::handle_commit(const Frame& frame) {
    const CommitMessage commit = FMVM_TRY(CommitMessage::decode(frame.body));
    const bool first = state_.is(State::receiving);
    // Nothing is acknowledged that could not be restored. commit() refuses an epoch without a
    // state.
    const std::span<const std::uint8_t> image = guest_->shadow().staged_state();
    if (!image.empty()) FMVM_TRY(host_.check(image));
    FMVM_TRY(guest_->commit(commit));
    crash_point("backup-committed");
    if (first) {
        FMVM_TRY(host_.accept());
        enter(State::following);
        link_->expect_epochs(true);
        log::notice("backup", "in step with {} generation={}", guest_->primary(),
                    guest_->generation());
        no_primary_.over(host_.now());
    }
    if (guest_->is_durable()) FMVM_TRY(guest_->apply());
    link_->send(guest_->acknowledge(commit.epoch));
    crash_point("backup-acknowledged");
    return guest_->is_durable() ? Result<void>{} : guest_->apply();
}

Result<void> Backup::handle_heartbeat(const Frame& frame) {
    const HeartbeatMessage heartbeat = FMVM_TRY(HeartbeatMessage::decode(frame.body));
    if (state_.is(State::following)) guest_->shown(heartbeat.output_shown);
    return {};
}

Result<void> Backup::handle_switch_over(const Frame& frame) {
    const SwitchOverMessage message = FMVM_TRY(SwitchOverMessage::decode(frame.body));
    if (message.epoch != guest_->shadow().committed()) return Error("a switch-over out of turn");
    crash_point("backup-switch-over");
    guest_->gate().release();  // the primary says nothing more
    link_->expect_epochs(false);
    enter(State::awaiting_flush);
    look_at_flush();
    return {};
}

Result<void> Backup::handle_ended(const Frame& frame) {
    const EndedMessage message = FMVM_TRY(EndedMessage::decode(frame.body));
    const Result<void> released = guest_->release_disks();
    if (!released.ok()) log::warning("backup", "{}", released.error().message());
    link_->close();
    link_.reset();
    enter(State::finished);
    host_.guest_ended(message.reason);
    return {};
}

void Backup::refuse(const std::string& reason, std::chrono::milliseconds before_claim) {
    if (!link_) return;
    if (guest_ && !guest_->is_fit()) tell_unfit(reason);
    link_->refuse(reason);
    primary_lost(reason, before_claim);
}

// Never silent, never used: this copy is worth nothing any more.
void Backup::tell_unfit(const std::string& why) {
    log::error("backup", "{}", why);
    if (link_) link_->send(UnfitMessage{why});
}

// From a primary that is gone, or hands over, to a guest that runs here or a copy that is given up.

// As long as the primary can still keep the guest (it waits for a switch-over, but not for ever),
// this side claims it only when all that was replayed is durable.
void Backup::look_at_flush() {
    const Result<bool> idle = guest_->disks_idle();
    if (idle.ok() && !idle.value()) return set_timer(Timer::look_at_flush, disk_retry);
    decide();  // which looks once more, and claims nothing if a disk has failed
}

void Backup::decide(std::chrono::milliseconds before_claim) {
    enter(State::deciding);
    before_claim > at_once ? claiming_.ask_at(host_.now() + before_claim) : claim();
}

// Not while a disk is known to have failed.
void Backup::claim() {
    const Result<bool> idle = guest_->disks_idle();
    if (idle.ok()) {
        claiming_.asked(host_.now());
        guest_->gate().close();
        return host_.claim(guest_->next_generation());
    }
    tell_unfit(idle.error().message());
    discard();
}

void Backup::claimed(Result<Claim> claim) {
    const Checked checked(*this);
    FMVM_CHECK(state_.is(State::deciding) && claiming_.is_asking());
    if (!claim.ok()) {
        claiming_.no_answer(claim.error().message(), host_.now());
        return;
    }
    if (*claim == Claim::lost) {
        log::warning("backup", "the primary {} goes on alone; waiting for it to connect again",
                     guest_->primary());
        discard();
    } else {
        won();
    }
}

void Backup::won() {
    crash_point("backup-taking-over");
    // First, because a primary that hands over keeps shared disks locked until it knows.
    if (link_) {
        link_->send(SwitchedMessage{guest_->next_generation()});
        link_->close();
        link_.reset();
    }
    enter(State::awaiting_disks);
    take_over();
}

void Backup::take_over() {
    const Generation generation = guest_->next_generation();
    const Result<bool> taken = host_.take_disks(generation);
    if (!taken.ok()) return fail(taken.error());
    if (!taken.value()) return set_timer(Timer::take_disks, disk_retry);
    const Result<void> runs = host_.take_over(guest_->shadow(), generation, guest_->gate().close());
    if (!runs.ok()) return fail(runs.error());
    taken_over_ = {GuestPlace::here, guest_->vm(), generation};
    enter(State::running);
    guest_.reset();
}

void Backup::discard() {
    if (link_) {
        link_->close();
        link_.reset();
    }
    enter(State::discarding);
    look_at_copy();
}

// A machine that is destroyed waits for its disks, and this thread must not: so the machine stays
// until they are at rest, even if one hangs.
void Backup::look_at_copy() {
    if (!guest_->disks_at_rest()) return set_timer(Timer::look_at_copy, disk_retry);
    guest_.reset();
    host_.discard();
    enter(State::listening);
}

}  // namespace fmvm::lockstep
