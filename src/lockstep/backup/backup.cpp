// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/backup.h"

#include <algorithm>

#include "base/crash_point.h"
#include "base/log.h"

namespace fmvm::lockstep {

namespace {

// How long somebody who has connected may take to say who it is.
constexpr std::chrono::milliseconds greeting_max{1000};
constexpr std::chrono::milliseconds claim_retry{500};
constexpr std::chrono::milliseconds take_over_retry{2};

bool belongs_to_epoch(FrameType type) {
    return type == FrameType::pages || type == FrameType::block_log || type == FrameType::state;
}

}  // namespace

Backup::~Backup() = default;

void Backup::connected(std::unique_ptr<Channel> channel) {
    if (state_ != State::listening) {
        channel->send(FrameType::refuse, RefuseMessage{why_refused()}.encode());
        channel->close();
        return;
    }
    channel_ = std::move(channel);
    peer_ = channel_->peer();
    state_ = State::greeting;
    queue_limit_ = channel_high_water;
    detector_.emplace(greeting_max, host_.now());
    channel_->start(*this);
}

const char* Backup::why_refused() const {
    switch (state_) {
        case State::running:
        case State::finished:
            return "the guest runs here; this is no backup any more";
        case State::taking_over:
            return "the guest is being taken over here; this is no backup any more";
        default:
            return "another primary is connected";
    }
}

Backup::TimePoint Backup::deadline() const {
    TimePoint due = TimePoint::max();
    if (claim_again_) due = *claim_again_;
    if (take_over_again_) due = std::min(due, *take_over_again_);
    if (channel_) due = std::min(due, detector_->next_look(last_heard()));
    return due;
}

// A stranger has a limited time, however lively.
Backup::TimePoint Backup::last_heard() const {
    return state_ == State::greeting ? TimePoint::min() : channel_->last_heard();
}

void Backup::tick() {
    const TimePoint now = host_.now();
    if (claim_again_ && now >= *claim_again_) {
        claim();
    }
    if (take_over_again_ && now >= *take_over_again_) take_over();
    if (channel_ && detector_->is_lost(now, last_heard())) {
        channel_->close();
        primary_lost("nothing was heard of it for too long");
    }
}

bool Backup::ask_for_switch_over() {
    if (state_ != State::following || !channel_) return false;
    channel_->send(FrameType::ask_switch_over, {});
    return true;
}

void Backup::frame_received(Frame frame) {
    Result<void> handled = handle(std::move(frame));
    if (handled.ok() && channel_ && channel_->queued_bytes() > queue_limit_)
        handled = Error("it does not read what it is told");
    if (!handled.ok()) refuse(handled.error().message());
}

Result<void> Backup::handle(Frame frame) {
    if (state_ == State::greeting && frame.type != FrameType::hello)
        return Error("the first message must be a hello");
    if (state_ == State::deciding && frame.type != FrameType::heartbeat &&
        frame.type != FrameType::refuse)
        return Error("a message after the switch-over");
    // Its first message left after its guest had stood, but for those of the initial copy.
    if (state_ == State::following && !epoch_began_ && belongs_to_epoch(frame.type))
        epoch_began_ = host_.now();
    switch (frame.type) {
        case FrameType::hello:
            return handle_hello(frame);
        case FrameType::pages:
            return shadow_->stage_pages(std::move(frame));
        case FrameType::block_log:
            return shadow_->stage_block_log(std::move(frame));
        case FrameType::disk_begin:
        case FrameType::disk_digests:
        case FrameType::disk_blocks:
            return handle_disk(frame);
        case FrameType::disk_check:
            return handle_check(frame);
        case FrameType::state:
            return shadow_->stage_state(frame, epoch_began_.value_or(host_.now()));
        case FrameType::output:
            return shadow_->stage_output(frame);
        case FrameType::digests:
            return shadow_->stage_digests(frame);
        case FrameType::commit:
            return handle_commit(frame);
        case FrameType::heartbeat: {
            const HeartbeatMessage heartbeat = FMVM_TRY(HeartbeatMessage::decode(frame.body));
            if (state_ == State::following) shadow_->shown(heartbeat.output_shown);
            return {};
        }
        case FrameType::switch_over:
            return handle_switch_over(frame);
        case FrameType::ended:
            return handle_ended(frame);
        case FrameType::refuse: {
            const RefuseMessage refusal = FMVM_TRY(RefuseMessage::decode(frame.body));
            return make_error("the primary ends the connection: {}", refusal.reason);
        }
        default:
            if (is_optional(frame.type)) return {};
            return make_error("a message of type {}, which a primary does not send",
                              static_cast<unsigned>(frame.type));
    }
}

Result<void> Backup::handle_hello(const Frame& frame) {
    if (state_ != State::greeting) return Error("a second hello");
    hello_ = FMVM_TRY(HelloMessage::decode(frame.body));
    if (hello_.generation == 0) return Error("it has not claimed a generation");
    // Before what takes its time: a machine is built, and disks' labels are made durable.
    channel_->keep_alive(std::chrono::milliseconds(hello_.heartbeat_ms), Heartbeat::Role::leads);
    const BackupHost::Prepared prepared = FMVM_TRY(host_.prepare(hello_));
    disks_ = prepared.disks;
    shadow_.emplace(*prepared.ram, disks_);
    epoch_began_.reset();
    unfit_ = false;
    detector_.emplace(std::chrono::milliseconds(hello_.lost_after_ms), host_.now());
    state_ = State::receiving;
    send(WelcomeMessage{});
    if (disks_ != nullptr) send(disks_->known());
    queue_limit_ = channel_->queued_bytes() + channel_high_water;
    log::info("backup", "receiving the guest of {} generation={}", peer_, hello_.generation);
    return {};
}

Result<void> Backup::handle_disk(const Frame& frame) {
    if (state_ != State::receiving || disks_ == nullptr)
        return Error("a message about disks out of turn");
    send(FMVM_TRY(disks_->message(frame)));
    return {};
}

void Backup::send(std::vector<OutgoingMessage> pieces) {
    for (OutgoingMessage& piece : pieces)
        channel_->send(piece.type, std::move(piece.body));
}

Result<void> Backup::handle_commit(const Frame& frame) {
    const CommitMessage commit = FMVM_TRY(CommitMessage::decode(frame.body));
    FMVM_TRY(check_state());
    const Result<void> committed = shadow_->commit(commit);
    epoch_began_.reset();
    if (!committed.ok() && shadow_->disks_failed()) return unfit(committed.error());
    FMVM_TRY(committed);
    crash_point("backup-committed");
    if (state_ == State::receiving) {
        state_ = State::following;
        log::notice("backup", "in step with {} generation={}", peer_, hello_.generation);
    }
    if (hello_.durable) FMVM_TRY(apply());
    send(AckMessage{commit.epoch});
    crash_point("backup-acknowledged");
    return hello_.durable ? Result<void>{} : apply();
}

// Nothing is acknowledged that could not be restored. commit() refuses an epoch without a state.
Result<void> Backup::check_state() {
    if (shadow_->staged_state().empty()) return {};
    return host_.check(shadow_->staged_state());
}

Result<void> Backup::apply() {
    Result<void> applied = shadow_->apply();
    if (applied.ok() && hello_.durable) applied = shadow_->sync();
    if (!applied.ok()) return unfit(applied.error());
    return {};
}

// Never silent, never used: this copy is worth nothing any more.
void Backup::become_unfit(const Error& why) {
    unfit_ = true;
    log::error("backup", "{}", why.message());
    if (channel_) send(UnfitMessage{why.message()});
}

Error Backup::unfit(const Error& why) {
    become_unfit(why);
    return why;
}

// It stands between two commits, and all before it was applied.
Result<void> Backup::handle_check(const Frame& frame) {
    const auto check = FMVM_TRY(replay::CheckMessage::decode(frame.body));
    if (state_ != State::following || disks_ == nullptr || check.epoch != shadow_->committed())
        return Error("a comparison of disks out of turn");
    FMVM_TRY(disks_->check(check));
    const Result<void> equal = disks_->compare(check);
    if (!equal.ok()) return unfit(equal.error());
    channel_->send(FrameType::disk_checked, replay::CheckedMessage{check.number}.encode());
    return {};
}

Result<void> Backup::handle_switch_over(const Frame& frame) {
    const SwitchOverMessage message = FMVM_TRY(SwitchOverMessage::decode(frame.body));
    if (state_ != State::following || message.epoch != shadow_->committed())
        return Error("a switch-over out of turn");
    crash_point("backup-switch-over");
    state_ = State::deciding;
    claim();
    return {};
}

Result<void> Backup::handle_ended(const Frame& frame) {
    const EndedMessage message = FMVM_TRY(EndedMessage::decode(frame.body));
    if (state_ == State::following && disks_ != nullptr) {
        const Result<void> released = disks_->release();
        if (!released.ok()) log::warning("backup", "{}", released.error().message());
    }
    channel_->close();
    state_ = State::finished;
    host_.guest_ended(message.reason);
    return {};
}

void Backup::refuse(const std::string& reason) {
    if (!channel_) return;
    channel_->send(FrameType::refuse, RefuseMessage{reason}.encode());
    channel_->close();
    primary_lost(reason);
}

void Backup::channel_lost(const std::string& reason) {
    primary_lost(reason);
}

void Backup::primary_lost(const std::string& reason) {
    channel_.reset();
    detector_.reset();
    switch (state_) {
        case State::greeting:
            log::warning("backup", "refused {}: {}", peer_, reason);
            state_ = State::listening;
            break;
        case State::receiving:
            log::warning("backup",
                         "lost the primary {} before this side was in step, so there is "
                         "nothing to take over: {}",
                         peer_, reason);
            listen_again();
            break;
        case State::following:
            log::warning("backup", "lost the primary {} epoch={}: {}", peer_, shadow_->committed(),
                         reason);
            if (unfit_) {
                listen_again();
            } else {
                state_ = State::deciding;
                claim();
            }
            break;
        default:
            break;  // deciding: the answer is on its way; later: no matter
    }
}

// Not while a disk is known to fail; and as long as the primary can still keep the guest (it waits
// for a switch-over, but not for ever), not before all that was replayed is durable.
void Backup::claim() {
    claim_again_.reset();
    const Result<bool> idle = shadow_->disks_idle();
    if (!idle.ok()) {
        become_unfit(idle.error());
        if (channel_) channel_->close();
        channel_.reset();
        detector_.reset();
        listen_again();
    } else if (!idle.value() && channel_) {
        claim_again_ = host_.now() + take_over_retry;
    } else {
        host_.claim(hello_.generation + 1);
    }
}

void Backup::listen_again() {
    shadow_.reset();
    host_.discard();
    claim_again_.reset();
    state_ = State::listening;
}

void Backup::claimed(Result<Claim> claim) {
    if (state_ != State::deciding) return;
    if (!claim.ok()) {
        log::warning("backup", "not taking over yet: {}", claim.error().message());
        claim_again_ = host_.now() + claim_retry;
    } else if (*claim == Claim::lost) {
        log::warning("backup", "the primary {} goes on alone; waiting for it to connect again",
                     peer_);
        if (channel_) channel_->close();
        channel_.reset();
        detector_.reset();
        listen_again();
    } else {
        claim_won();
    }
}

void Backup::claim_won() {
    crash_point("backup-taking-over");
    // First, because a primary that hands over keeps shared disks locked until it knows.
    if (channel_) {
        send(SwitchedMessage{hello_.generation + 1});
        channel_->close();
        channel_.reset();
    }
    detector_.reset();
    state_ = State::taking_over;
    take_over();
}

void Backup::take_over() {
    take_over_again_.reset();
    const Result<bool> taken = host_.take_over(*shadow_, hello_.generation + 1);
    if (!taken.ok()) {
        state_ = State::finished;
        host_.failed(taken.error().message());
    } else if (!taken.value()) {
        take_over_again_ = host_.now() + take_over_retry;
    } else {
        state_ = State::running;
        shadow_.reset();
    }
}

}  // namespace fmvm::lockstep
