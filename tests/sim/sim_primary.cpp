// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_primary.h"

#include "lockstep/arbiter/arbiter_watch.h"
#include "vmm/board/layout.h"

namespace fmvm::sim {

using lockstep::Claim;
using lockstep::PrimaryEnd;

lockstep::PrimaryOptions SimPrimary::options(const Settings& settings) {
    lockstep::PrimaryOptions options;
    options.generation = 1;
    options.shape.memory_bytes = layout::memory_size_min;
    options.shape.vcpus = 1;
    options.heartbeat = settings.heartbeat;
    options.lost_after = settings.lost_after;
    options.permit = settings.permit;
    options.policy.mode = settings.mode;
    options.on_backup_lost = settings.on_backup_lost;
    return options;
}

SimPrimary::SimPrimary(World& world)
    : world_(world),
      process_(world.timeline(), "primary", 0, 0),
      console_(
          world.timeline(), process_, world.arbiter(), *pair_, world.observer(),
          [this] { return generation_; }, [this] { world_.lifelines().ask(process_); },
          [this](std::uint64_t end) { world_.check_shown(process_, end); }),
      gate_(console_, 0, [this] { return process_.now(); }),
      guest_(ram_, gate_, world.timeline().rng(), world.settings().guest_steps),
      source_(process_, guest_, ram_, gate_),
      primary_(options(world.settings()), source_, gate_, stats_, *pair_, *this) {
    if (world.settings().without == Without::boot_clock) process_.stop_clock_with_it();
    gate_.on_waiting([this] { process_.post([this] { primary_.output_waiting(); }); });
    timer_.emplace(
        process_, [this] { return primary_.deadline(); }, [this] { primary_.tick(); });
    process_.post([this] { world_.connect(); });
    process_.post([this] { run_guest(); });
    process_.post([this] { look_at_generation(); });
}

// As PrimaryService does (newest_question).
void SimPrimary::look_at_generation() {
    if (end_) return;
    const Result<bool> newest = world_.arbiter().is_newest(process_, generation_);
    if (newest.ok() && !newest.value()) return primary_.superseded();
    process_.after(lockstep::newest_question.interval, [this] { look_at_generation(); });
}

Result<std::unique_ptr<lockstep::Lifeline>> SimPrimary::join(const std::string&,
                                                             const lockstep::JoinMessage& message,
                                                             lockstep::Lifeline::Terms terms) {
    const Without without = world_.settings().without;
    if (without == Without::nothing) return world_.join(message, std::move(terms));
    forgetful_.emplace_back(terms.half, without);
    console_.speaks_if([this](lockstep::BootTime now) { return forgetful_.back().allows(now); });
    return world_.join(message, {terms.interval, terms.role, forgetful_.back(), terms.lost});
}

void SimPrimary::run_guest() {
    if (end_) return;
    if (!source_.guest_stands() && !guest_.ended()) guest_.step();
    if (guest_.ended() && !std::exchange(end_told_, true))
        process_.post([this] { primary_.guest_ended("the guest powered off"); });
    process_.after(world_.timeline().rng().between(300us, 4ms), [this] { run_guest(); });
}

void SimPrimary::ask_to_verify() {
    comparison_.reset();
    process_.post([this] {
        const Result<void> begun = primary_.verify({.memory = true, .disks = false});
        if (!begun.ok())
            comparison_ = {lockstep::VerifyOutcome::Kind::unfinished, begun.error().message()};
    });
}

void SimPrimary::ask_to_switch_over() {
    process_.post([this] {
        const Result<void> begun = primary_.switch_over();
        world_.timeline().note("switch over: {}", begun.ok() ? "begun" : begun.error().message());
    });
}

void SimPrimary::claim(lockstep::Generation generation) {
    world_.arbiter().claim(process_, generation,
                           [this](Result<Claim> claim) { primary_.claimed(std::move(claim)); });
}

void SimPrimary::try_claim() {
    world_.arbiter().try_claim(process_,
                               [this](const Result<void>& tried) { primary_.claim_tried(tried); });
}

void SimPrimary::stays(const std::string& why) {
    world_.timeline().note("no switchover: {}", why);
}

void SimPrimary::want_connection(TimePoint::duration after) {
    sentinel_.reset();
    process_.after(after, [this] { world_.connect(); });
}

void SimPrimary::finished(PrimaryEnd end, const std::string& why) {
    if (!process_.alive()) return;
    world_.timeline().note("primary finished: {}", why);
    if (end_) world_.timeline().broken("the primary finished twice");
    end_ = end;
    pair_->end();
    sentinel_.reset();
    if (end == PrimaryEnd::failed) world_.timeline().broken("the primary failed: {}", why);
    if (end == PrimaryEnd::backup_lost) world_.look_for_survivors();
    exit_when_written(exit_tries);
}

void SimPrimary::exit_when_written(unsigned tries) {
    if (primary_.deadline() != TimePoint::max())
        world_.timeline().broken("the primary wants to be woken after its end");
    if (tries != 0 && console_.unwritten() != 0) {
        process_.after(5ms, [this, tries] { exit_when_written(tries - 1); });
        return;
    }
    if (end_ == PrimaryEnd::guest_ended) world_.guest_ended_orderly(process_, guest_.lines());
    world_.kill(process_, Death::flushing);
}

}  // namespace fmvm::sim
