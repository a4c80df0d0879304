// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_backup.h"

namespace fmvm::sim {

using lockstep::Backup;
using lockstep::Claim;
using lockstep::FrameType;
using lockstep::Generation;

SimBackup::SimBackup(World& world, int id)
    : world_(world),
      process_(world.timeline(), fmt::format("backup{}", id), 1, id),
      console_(
          world.timeline(), process_, world.arbiter(), *pair_, world.observer(),
          [this] { return generation_; }, [] {},
          [this](std::uint64_t end) { world_.check_shown(process_, end); }),
      backup_(*this, world.settings().claim_delay) {
    timer_.emplace(
        process_, [this] { return backup_.deadline(); }, [this] { backup_.tick(); });
}

bool SimBackup::could_take_over(Generation generation) const {
    constexpr StateSet<Backup::State> holding{
        Backup::State::following, Backup::State::awaiting_flush, Backup::State::deciding};
    const bool holds = holding.contains(state());
    return process_.alive() && holds && generation_ == generation;
}

Result<lockstep::BackupHost::Prepared> SimBackup::prepare(const lockstep::HelloMessage& hello) {
    if (!FMVM_TRY(world_.arbiter().is_newest(process_, hello.generation)))
        return Error("this guest runs elsewhere");
    generation_ = hello.generation;
    ram_ = std::make_unique<ToyRam>();
    return Prepared{ram_.get(), nullptr};
}

void SimBackup::hears_untrue_end() {
    process_.post([this] {
        if (state() != Backup::State::greeting && state() != Backup::State::receiving) return;
        const lockstep::Body body = lockstep::EndedMessage{"the guest powered off"}.encode();
        backup_.frame_received({FrameType::ended, Buffer(body.begin(), body.end()), 0});
    });
}

void SimBackup::claim(Generation generation) {
    world_.arbiter().claim(process_, generation,
                           [this](Result<Claim> claim) { backup_.claimed(std::move(claim)); });
}

void SimBackup::try_claim() {
    world_.arbiter().try_claim(process_,
                               [this](const Result<void>& tried) { backup_.claim_tried(tried); });
}

Result<void> SimBackup::check(std::span<const std::uint8_t> state) {
    if (state.empty()) world_.timeline().broken("{} is asked about nothing", process_.name());
    if (!world_.settings().backup_fits) return Error("its TSC cannot be scaled");
    if (checked_++ == world_.settings().restorable_states && checked_ > 1)
        return Error("the state of disk0: its requests in flight are malformed");
    return {};
}

Result<bool> SimBackup::take_disks(Generation) {
    if (!disks_free_at_) disks_free_at_ = now() + world_.settings().disks_held;
    return now() >= *disks_free_at_;
}

Result<void> SimBackup::take_over(const lockstep::Shadow& shadow, Generation generation,
                                  lockstep::BootTime speak_from) {
    if (!process_.alive()) return {};
    world_.timeline().note("{} takes over epoch {}", process_.name(), shadow.committed());
    generation_ = generation;
    console_.begin_at(shadow.tail().position);
    if (world_.settings().without != Without::awaited_promise) console_.speak_from(speak_from);
    gate_.emplace(console_, shadow.tail().position, [this] { return process_.now(); });
    guest_.emplace(*ram_, *gate_, world_.timeline().rng(), world_.settings().guest_steps);
    const Result<void> restored = guest_->restore(shadow.state());
    if (!restored.ok()) return restored.error();
    check_whole(shadow);
    gate_->write(shadow.tail().bytes);
    process_.post([this] { run_guest(); });
    return {};
}

void SimBackup::check_whole(const lockstep::Shadow& shadow) {
    const auto wrong = guest_->first_wrong_page();
    if (wrong) {
        world_.timeline().broken("a takeover at step {} finds page {} of another moment",
                                 guest_->steps(), *wrong);
    }
    const std::uint64_t tail_end = shadow.tail().position + shadow.tail().bytes.size();
    if (tail_end != guest_->lines() * line_bytes || tail_end != committed_end_) {
        world_.timeline().broken("a takeover's tail ends at {}, its guest at {}, its commit at {}",
                                 tail_end, guest_->lines() * line_bytes, committed_end_);
    }
}

void SimBackup::run_guest() {
    if (!guest_->ended()) guest_->step();
    if (guest_->ended()) {
        exits_ = true;
        exit_when_written(exit_tries);
        return;
    }
    process_.after(world_.timeline().rng().between(300us, 4ms), [this] { run_guest(); });
}

void SimBackup::exit_when_written(unsigned tries) {
    if (tries != 0 && console_.unwritten() != 0) {
        process_.after(5ms, [this, tries] { exit_when_written(tries - 1); });
        return;
    }
    world_.guest_ended_orderly(process_, guest_->lines());
    world_.kill(process_, Death::flushing);
}

void SimBackup::guest_ended(const std::string& reason) {
    if (!process_.alive()) return;
    world_.timeline().note("{} is told: {}", process_.name(), reason);
    exits_ = true;
    process_.post([this] { world_.kill(process_, Death::flushing); });
}

void SimBackup::failed(const std::string& why) {
    world_.timeline().broken("{} cannot take over: {}", process_.name(), why);
}

}  // namespace fmvm::sim
