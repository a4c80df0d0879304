// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/primary.h"

#include <algorithm>
#include <utility>

#include "base/crash_point.h"
#include "base/log.h"

namespace fmvm::lockstep {

namespace {

// Epochs that may be on their way at a time: one is being acknowledged while the next is sent.
constexpr std::size_t sent_epochs_max = 2;
// How long pump() works before others (heartbeats, frames of the peer) have their turn.
constexpr std::chrono::milliseconds slice{5};
// What a guest that has ended asked of its disks is waited for, so that both sides' are the same.
constexpr std::chrono::seconds settle_max{2};
constexpr std::chrono::milliseconds settle_look{2};
// An initial copy that waits for a request of the guest, or for the backup's disks, looks so often.
constexpr std::chrono::milliseconds copy_look{20};
// A backup builds a whole machine before it says welcome; it gives signs of life meanwhile.
constexpr std::chrono::seconds greeting_max{5};
// How long the guest stands for a backup that does not take over (it cannot reach its arbiter,
// say).
constexpr std::chrono::seconds handing_over_max{2};

}  // namespace

Primary::Primary(PrimaryOptions options, CheckpointSource& source, ConsoleGate& gate,
                 EpochStats& stats, PrimaryHost& host)
    : options_(std::move(options)),
      source_(source),
      gate_(gate),
      stats_(stats),
      host_(host),
      policy_(options_.policy) {}

Primary::~Primary() = default;

void Primary::connected(std::unique_ptr<Channel> channel) {
    if (state_ != State::alone || ending_ != Ending::none) return;
    channel_ = std::move(channel);
    peer_ = channel_->peer();
    in_step_since_.reset();
    unfit_ = false;
    commit_sent_ = false;
    state_ = State::greeting;
    detector_.emplace(greeting_max, host_.now());
    channel_->keep_alive(options_.heartbeat, Heartbeat::Role::answers);
    channel_->start(*this);
    HelloMessage hello;
    hello.vm = options_.vm;
    hello.generation = options_.generation;
    hello.shape = options_.shape;
    hello.block = options_.block;
    hello.durable = options_.durable;
    hello.heartbeat_ms = static_cast<std::uint32_t>(options_.heartbeat.count());
    hello.lost_after_ms = static_cast<std::uint32_t>(options_.lost_after.count());
    send(hello);
}

bool Primary::switch_over() {
    if (state_ != State::following || !commit_sent_ || ending_ != Ending::none) return false;
    ending_ = Ending::switch_over;
    pump();
    return true;
}

void Primary::guest_ended(const std::string& reason) {
    if (state_ == State::finished) return;
    end_reason_ = reason;
    // The guest stands as it is handed over, with requests in flight that only the other side goes
    // on with; should that fail, it has ended here.
    if (ending_ == Ending::switch_over && last_cut_) return;
    ending_ = Ending::guest_end;
    settle_look_ = host_.now();
    settle_until_ = settle_look_ + settle_max;
    if (state_ == State::alone || state_ == State::greeting || state_ == State::copying) {
        gate_.open();  // nobody could take over: what waits is as good as committed
        if (channel_) send(EndedMessage{reason});
        finish(PrimaryEnd::guest_ended, reason);
        return;
    }
    pump();
}

Primary::TimePoint Primary::deadline() const {
    if (more_work_) return TimePoint::min();
    TimePoint due = TimePoint::max();
    if (claim_again_) due = std::min(due, *claim_again_);
    if (channel_) due = std::min(due, detector_->next_look(channel_->last_heard()));
    if (state_ == State::handing_over) due = std::min(due, handing_over_since_ + handing_over_max);
    // With a full queue pump() waits for it to drain, whatever is due.
    const bool has_room = channel_ && channel_->queued_bytes() < channel_high_water;
    if (copy_look_ && has_room) due = std::min(due, *copy_look_);
    if (state_ == State::following && !packing_ && may_cut() && has_room)
        due = std::min(due, may_settle() ? settle_look_ : policy_.next_cut(waiting_since()));
    if (may_verify() && has_room) due = std::min(due, verification_->due());
    return due;
}

void Primary::tick() {
    const TimePoint now = host_.now();
    settle_look_ = now + settle_look;
    if (claim_again_ && now >= *claim_again_) {
        claim_again_.reset();
        host_.claim(options_.generation + 1);
    }
    if (channel_ && detector_->is_lost(now, channel_->last_heard())) {
        drop_channel("nothing was heard of it for too long");
        return;
    }
    // It may win yet, or have won; so it is not asked to give up: both claim.
    if (state_ == State::handing_over && now >= handing_over_since_ + handing_over_max) {
        drop_channel("it was asked to take over and did not in time");
        return;
    }
    pump();
    look_at_verification();
}

void Primary::pump() {
    const TimePoint began = host_.now();
    more_work_ = false;
    while (channel_ && channel_->queued_bytes() < channel_high_water && step()) {
        if (host_.now() - began < slice) continue;
        more_work_ = true;
        return;
    }
}

// One piece of work; false when there is none now.
bool Primary::step() {
    switch (state_) {
        case State::copying:
            return copy_step();
        case State::following:
            return follow_step();
        default:
            return false;
    }
}

bool Primary::copy_step() {
    copy_look_.reset();
    Result<OutgoingMessage> piece = source_.next_initial();
    if (!piece.ok()) {
        source_failed(piece.error().message());
        return false;
    }
    if (!piece->empty()) {
        send(std::move(*piece));
        host_.copying(source_.initial_progress());
        crash_point("initial-copy");
        return true;
    }
    if (!source_.initial_done()) {  // tick() or the backup's answer looks again
        copy_look_ = host_.now() + copy_look;
        return false;
    }
    state_ = State::following;
    cut();
    return true;
}

bool Primary::follow_step() {
    if (packing_) {
        OutgoingMessage piece = source_.next_message();
        crash_point("mid-pages");
        if (piece.empty()) {
            send_rest_of_checkpoint();
        } else {
            send(std::move(piece));
        }
        return true;
    }
    if (may_verify() && verify_step()) return true;
    if (!cut_due()) return false;
    cut();
    return state_ == State::following;
}

bool Primary::may_cut() const {
    const std::size_t limit = policy_.waits_for_ack() ? 1 : sent_epochs_max;
    return !last_cut_ && sent_.size() < limit;
}

bool Primary::cut_due() {
    if (!may_cut()) return false;
    // Writes that wait for a commit settle only after one; that cut is not the last.
    if (is_settling()) return source_.waiting_since().has_value();
    return ending_ != Ending::none || host_.now() >= policy_.next_cut(waiting_since());
}

bool Primary::may_settle() const {
    return ending_ == Ending::guest_end && host_.now() < settle_until_;
}

bool Primary::is_settling() {
    return may_settle() && !source_.finish_last_requests();
}

std::optional<Primary::TimePoint> Primary::waiting_since() const {
    const std::optional<TimePoint> console = gate_.waiting_since();
    const std::optional<TimePoint> other = source_.waiting_since();
    if (!console || !other) return console ? console : other;
    return std::min(*console, *other);
}

void Primary::cut() {
    const TimePoint before = std::exchange(cut_began_, host_.now());
    interval_ = epoch_ == 0 ? TimePoint::duration{} : cut_began_ - before;
    const bool settled = ending_ != Ending::guest_end || source_.finish_last_requests();
    last_cut_ = ending_ != Ending::none && (settled || !may_settle());
    if (last_cut_ && !settled) {
        log::warning(
            "primary",
            "a disk has not answered the guest's last requests: what they change may be on "
            "this side only, until a backup is made equal again");
    }
    const bool stay_stopped = last_cut_ || policy_.waits_for_ack();
    const Result<void> cut = source_.cut(++epoch_, stay_stopped);
    if (!cut.ok()) {
        source_failed(cut.error().message());
        return;
    }
    policy_.epoch_ended(cut_began_, source_.report().pages_new);
    policy_.epoch_began(host_.now());
    packing_ = true;
    digest_ = 0;
    bytes_ = 0;
}

// Whatever is wrong with this host: a backup that has committed has a machine that is whole. Before
// that, this one is all there is, and goes on without protection.
void Primary::source_failed(const std::string& reason) {
    if (commit_sent_) {
        finish(PrimaryEnd::failed, reason);
        return;
    }
    if (reason != lost_reason_) log::warning("primary", "cannot be protected: {}", reason);
    drop_channel(reason);
}

void Primary::send(FrameType type, GatheredBody body) {
    bytes_ += body.size() + frame_header_size;
    const bool before_commit =
        type == FrameType::state || type == FrameType::output || type == FrameType::digests;
    const std::uint64_t digest = before_commit ? channel_->send_with_next(type, std::move(body))
                                               : channel_->send(type, std::move(body));
    const bool part_of_epoch =
        type == FrameType::pages || type == FrameType::block_log || before_commit;
    if (part_of_epoch && state_ == State::following) digest_ = chain_digest(digest_, digest);
}

void Primary::frame_received(Frame frame) {
    const Result<void> handled = handle(frame);
    if (!handled.ok()) {
        drop_channel(handled.error().message());
        return;
    }
    look_at_verification();
    pump();
}

Result<void> Primary::handle(const Frame& frame) {
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
            if (state_ != State::copying) return Error("it sent a message about disks out of turn");
            return source_.disk_message(frame);
        case FrameType::disk_checked:
            if (!verification_) return {};  // of one that was ended
            return verification_->checked(frame, host_.now());
        case FrameType::unfit: {
            UnfitMessage unfit = FMVM_TRY(UnfitMessage::decode(frame.body));
            log::error("primary", "the backup {} is not equal any more: {}", peer_, unfit.reason);
            unfit_ = true;
            end_verification({VerifyOutcome::Kind::different, std::move(unfit.reason)});
            return Error("it is not equal any more");
        }
        case FrameType::ask_switch_over:
            if (!frame.body.empty()) return Error("a malformed wish to switch over");
            log::info("primary", "{} asks to switch over", peer_);
            switch_over();
            return {};
        case FrameType::refuse: {
            const RefuseMessage refusal = FMVM_TRY(RefuseMessage::decode(frame.body));
            // Its disk fails, say, or its host lacks what the guest needs.
            if (state_ != State::greeting && !in_step_since_) unfit_ = true;
            return make_error("it refuses: {}", refusal.reason);
        }
        default:
            if (is_optional(frame.type)) return {};
            return make_error("it sent a message of type {}, which a backup does not send",
                              static_cast<unsigned>(frame.type));
    }
}

Result<void> Primary::handle_welcome(const Frame& frame) {
    FMVM_TRY(WelcomeMessage::decode(frame.body));
    if (state_ != State::greeting) return Error("it sent a welcome out of turn");
    const Result<void> begun = source_.begin();
    if (!begun.ok()) {
        source_.end();
        return begun.error();
    }
    detector_.emplace(options_.lost_after, host_.now());
    log::info("primary", "copying memory to {}", peer_);
    epoch_ = 0;
    packing_ = false;
    sent_.clear();
    state_sent_.clear();
    state_ = State::copying;
    return {};
}

Result<void> Primary::handle_ack(const Frame& frame) {
    const AckMessage ack = FMVM_TRY(AckMessage::decode(frame.body));
    if (sent_.empty() || ack.epoch != sent_.front().epoch)
        return make_error("it acknowledged epoch {} out of turn", ack.epoch);
    Sent sent = std::move(sent_.front());
    sent_.pop_front();
    if (ack.epoch == 1) {
        in_step_since_ = host_.now();
        told_reason_.clear();
        log::notice("primary", "protected by {}", peer_);
    }
    crash_point("after-ack");
    gate_.release(sent.output_end);
    source_.committed(sent.epoch);
    const TimePoint now = host_.now();
    if (verification_) verification_->acknowledged(sent.epoch, now);
    sent.record.acknowledged = now - sent.cut_began;
    policy_.acknowledged(sent.record.acknowledged);
    if (policy_.waits_for_ack() && !last_cut_) {
        source_.resume();
        policy_.epoch_began(now);
        sent.record.cut.stood = source_.report().stood;
    }
    stats_.add(sent.record);
    if (last_cut_ && sent_.empty() && !packing_) last_epoch_acknowledged();
    return {};
}

void Primary::last_epoch_acknowledged() {
    host_.drain_output();
    if (ending_ == Ending::guest_end) {
        crash_point("guest-ended");
        send(EndedMessage{end_reason_});
        finish(PrimaryEnd::guest_ended, end_reason_);
        return;
    }
    crash_point("switch-over");
    // The guest stands; what was released has been written: nothing is repeated on the other side.
    send(HeartbeatMessage{gate_.shown()});
    send(SwitchOverMessage{epoch_});
    state_ = State::handing_over;
    handing_over_since_ = host_.now();
}

Result<void> Primary::handle_switched(const Frame& frame) {
    const SwitchedMessage switched = FMVM_TRY(SwitchedMessage::decode(frame.body));
    if (state_ != State::handing_over || switched.generation <= options_.generation)
        return Error("it took over out of turn");
    const std::chrono::duration<double, std::milli> stood = host_.now() - cut_began_;
    finish(PrimaryEnd::handed_over,
           fmt::format("the guest runs on {}; it stood for {:.1f} ms", peer_, stood.count()));
    return {};
}

void Primary::finish(PrimaryEnd end, const std::string& why) {
    if (std::exchange(state_, State::finished) == State::finished) return;
    end_verification({VerifyOutcome::Kind::unfinished, fmt::format("it ended meanwhile: {}", why)});
    if (channel_) channel_->close();
    channel_.reset();
    detector_.reset();
    claim_again_.reset();
    copy_look_.reset();
    more_work_ = false;
    host_.finished(end, why);
}

}  // namespace fmvm::lockstep
