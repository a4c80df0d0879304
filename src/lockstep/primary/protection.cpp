// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/protection.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crash_point.h"
#include "base/log.h"

namespace fmvm::lockstep {

namespace {

// An initial copy that waits for a request of the guest, or for the backup's disks, looks so often.
constexpr std::chrono::milliseconds copy_look{20};
// Packets behind more than this would come too late to matter. An epoch fills half of it.
constexpr std::size_t packets_high_water = 2 * channel_high_water;
// A guest that has ended waits for its disks, and looks at them so often.
constexpr std::chrono::milliseconds disks_look{2};

}  // namespace

void Protection::send(OutgoingMessage message) {
    channel_.send(message.type, std::move(message.body));
}

Result<Protection::Copied> Protection::copy() {
    FMVM_CHECK(epochs_.last_cut() == 0);
    look_again_ = TimePoint::max();
    OutgoingMessage message = FMVM_TRY(parts_.source.next_initial());
    if (!message.empty()) {
        send(std::move(message));
        tell_progress();
        crash_point("initial-copy");
        return Copied::message;
    }
    if (parts_.source.initial_done()) return Copied::enough;
    look_again_ = host_.now() + copy_look;  // an answer of the backup makes it go on, too
    return Copied::nothing;
}

void Protection::tell_progress() {
    const std::string progress = parts_.source.initial_progress();
    host_.copying(progress);
    if (const auto told = unprotected_.is("the guest is not protected yet", host_.now()))
        log::notice("primary", "{}: {}", *told, progress);
}

Result<bool> Protection::follow() {
    FMVM_CHECK(epochs_.last_cut() != 0);
    look_again_ = TimePoint::max();
    if (epochs_.is_sending()) {
        epochs_.send_next();
        return true;
    }
    if (may_verify()) {
        OutgoingMessage message = verifier_.next(epochs_.last_cut());
        if (!message.empty()) {
            send(std::move(message));
            return true;
        }
    }
    if (!is_cut_due()) return false;
    FMVM_TRY(cut());
    return true;
}

Protection::TimePoint Protection::next_work() const {
    TimePoint due = look_again_;
    if (may_cut() && !parts_.ending.waits_for_disks(host_.now()))
        due = std::min(due, parts_.policy.next_cut(output_waiting_since()));
    return may_verify() ? std::min(due, verifier_.due()) : due;
}

bool Protection::may_cut() const {
    if (epochs_.last_cut() == 0 || epochs_.is_sending() || parts_.ending.last_cut_made())
        return false;
    const std::size_t limit = parts_.policy.waits_for_ack() ? 1 : EpochSender::unacknowledged_max;
    return epochs_.unacknowledged() < limit;
}

// Between the commit of an epoch and the next cut; not while the guest stands for it.
bool Protection::may_verify() const {
    if (!verifier_.is_active() || epochs_.is_sending() || parts_.ending.begun()) return false;
    return !parts_.policy.waits_for_ack() || epochs_.all_acknowledged();
}

bool Protection::is_cut_due() {
    if (!may_cut()) return false;
    const TimePoint now = host_.now();
    if (parts_.ending.waits_for_disks(now) && !parts_.source.finish_last_requests()) {
        look_again_ = now + disks_look;
        // A write that waits for a commit is completed only after one; that cut is not the last.
        return parts_.source.waiting_since().has_value();
    }
    return parts_.ending.begun() || now >= parts_.policy.next_cut(output_waiting_since());
}

std::optional<Protection::TimePoint> Protection::output_waiting_since() const {
    const std::optional<TimePoint> console = parts_.gate.waiting_since();
    const std::optional<TimePoint> disks = parts_.source.waiting_since();
    if (!console || !disks) return console ? console : disks;
    return std::min(*console, *disks);
}

Result<void> Protection::cut() {
    const TimePoint began = host_.now();
    const bool disks_idle =
        parts_.ending.kind() != Ending::Kind::guest_end || parts_.source.finish_last_requests();
    const bool is_last = parts_.ending.make_cut(disks_idle, began);
    if (is_last && !disks_idle) {
        log::warning(
            "primary",
            "a disk has not answered the guest's last requests: what they change may be on "
            "this side only, until a backup is made equal again");
    }
    FMVM_TRY(epochs_.cut(is_last || parts_.policy.waits_for_ack(), began));
    parts_.policy.epoch_ended(began, parts_.source.report().pages_new);
    parts_.policy.epoch_began(host_.now());
    return {};
}

void Protection::forward_packets() {
    for (const PacketMessage& packet : parts_.source.take_packets()) {
        if (channel_.queued_bytes() < packets_high_water)
            channel_.send(PacketMessage::type, packet.encode());
    }
}

Result<void> Protection::acknowledged(EpochId epoch) {
    SentEpoch sent = FMVM_TRY(epochs_.acknowledged(epoch));
    if (!in_step_since_) {
        in_step_since_ = host_.now();
        host_.copied();
        log::notice("primary", "protected by {}", channel_.peer());
    }
    crash_point("after-ack");
    parts_.gate.release(sent.output_end);
    parts_.source.committed(epoch);
    verifier_.acknowledged(epoch);
    const TimePoint now = host_.now();
    sent.record.acknowledged = now - sent.cut_began;
    parts_.policy.acknowledged(sent.record.acknowledged);
    if (parts_.policy.waits_for_ack() && !parts_.ending.last_cut_made()) {
        parts_.source.resume();
        parts_.policy.epoch_began(now);
        sent.record.cut.stood = parts_.source.report().stood;
    }
    parts_.stats.add(sent.record);
    return {};
}

bool Protection::last_epoch_acknowledged() const {
    return parts_.ending.last_cut_made() && epochs_.all_acknowledged();
}

}  // namespace fmvm::lockstep
