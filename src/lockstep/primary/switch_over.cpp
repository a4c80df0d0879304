// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/switch_over.h"

#include "base/check.h"
#include "base/log.h"

namespace fmvm::lockstep {

namespace {

// So often a side that has handed its guest over looks for packets that still come to it.
constexpr std::chrono::milliseconds packets_look{1};

}  // namespace

Result<void> SwitchOver::begin(Link& link, Asker asker) {
    if (state_ != State::none) return Error("a switchover is under way");
    if (parts_.ending.begun()) return Error("the guest has ended");
    asker_ = asker;
    state_ = State::asking;
    deadline_ = host_.now() + answers_max;
    this_side_could_claim_ = backup_could_claim_ = false;
    link.send(TryClaimMessage{});
    host_.try_claim();
    return {};
}

void SwitchOver::arbiter_answered(Link& link, const Result<void>& tried) {
    if (state_ != State::asking) return;  // it was given up meanwhile
    if (!tried.ok())
        return give_up(link, fmt::format("this side could not claim: {}", tried.error().message()));
    this_side_could_claim_ = true;
    look(link);
}

Result<void> SwitchOver::backup_answered(Link& link, const Frame& frame) {
    const ClaimTriedMessage tried = FMVM_TRY(ClaimTriedMessage::decode(frame.body));
    if (state_ != State::asking) return {};
    if (!tried.why_not.empty()) {
        give_up(link, fmt::format("the backup could not claim: {}", tried.why_not));
        return {};
    }
    backup_could_claim_ = true;
    look(link);
    return {};
}

void SwitchOver::look(Link& link) {
    if (!this_side_could_claim_ || !backup_could_claim_) return;
    if (parts_.ending.begun()) return give_up(link, "the guest has ended");
    state_ = State::standing;
    deadline_ = host_.now() + last_epoch_max;
    parts_.ending.begin_switch_over();
}

void SwitchOver::give_up(Link& link, const std::string& why) {
    if (state_ == State::none || state_ == State::handed_over) return;
    if (state_ == State::standing && parts_.ending.guest_end_reason()) {
        deadline_ = TimePoint::max();  // it would not go on: its last epoch is on its way
        return;
    }
    log::notice("primary", "no switchover: {}", why);
    link.send(StaysMessage{why});
    if (state_ == State::standing) let_guest_go_on();
    state_ = State::none;
    deadline_ = TimePoint::max();
    host_.stays(why);
}

Result<void> SwitchOver::backup_wishes(Link& link, const Frame& frame) {
    if (!frame.body.empty()) return Error("a malformed wish about a switchover");
    if (frame.type == FrameType::ask_stay) {
        if (asker_ == Asker::backup) give_up(link, "the backup's operator has given it up");
        return {};
    }
    log::info("primary", "{} asks to switch over", link.peer);
    const Result<void> begun = begin(link, Asker::backup);
    if (!begun.ok()) link.send(StaysMessage{begun.error().message()});
    return {};
}

void SwitchOver::let_guest_go_on() {
    if (parts_.ending.kind() != Ending::Kind::switch_over || parts_.ending.guest_end_reason())
        return;
    parts_.ending.give_up_switch_over();
    parts_.source.go_on();
    parts_.policy.epoch_began(host_.now());
}

void SwitchOver::tick(Link& link) {
    if (host_.now() < deadline_) return;
    if (state_ == State::handed_over) {
        link.protection.forward_packets();
        deadline_ = host_.now() + packets_look;
        return;
    }
    if (state_ == State::standing)
        return give_up(link, "the backup has not acknowledged the last epoch in time");
    give_up(link, this_side_could_claim_ ? "the backup does not say whether it could claim"
                                         : "the arbiter does not answer this side");
}

void SwitchOver::handed_over(const Link& link) {
    FMVM_CHECK(state_ == State::standing);
    state_ = State::handed_over;
    parts_.permit.renounce();
    deadline_ = host_.now();
    where_ = fmt::format("the guest runs on {}", link.peer);
}

const std::string& SwitchOver::taken_over(const Link& link) {
    FMVM_CHECK(state_ == State::handed_over);
    deadline_ = TimePoint::max();
    const std::chrono::duration<double, std::milli> stood =
        host_.now() - link.epochs.last_cut_began();
    where_ += fmt::format("; it stood for {:.1f} ms", stood.count());
    return where_;
}

void SwitchOver::backup_lost(const std::string& reason) {
    if (state_ == State::none) return;
    let_guest_go_on();
    deadline_ = TimePoint::max();
    if (state_ != State::handed_over) state_ = State::none;
    host_.stays(fmt::format("the backup was lost meanwhile: {}", reason));
}

std::optional<std::string> SwitchOver::decided() {
    if (state_ != State::handed_over) return std::nullopt;
    state_ = State::none;
    return where_;
}

}  // namespace fmvm::lockstep
