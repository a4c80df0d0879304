// SPDX-License-Identifier: Apache-2.0
#include "sim/world.h"

#include <algorithm>

#include "sim/sim_backup.h"
#include "sim/sim_primary.h"

namespace fmvm::sim {

using lockstep::Backup;
using lockstep::FrameType;
using lockstep::Primary;
using lockstep::PrimaryEnd;

namespace {

constexpr std::uint64_t lines_of_life = 5;
constexpr Duration settle_limit = 6s;

const char* name_of(Moment moment) {
    switch (moment) {
        case Moment::before_send:
            return "before sending";
        case Moment::after_send:
            return "sent";
        case Moment::before_receive:
            return "gets";
        case Moment::after_receive:
            return "handled";
    }
    return "";
}

}  // namespace

World::World(const Settings& settings)
    : settings_(settings),
      timeline_(settings.seed),
      network_(timeline_),
      lifelines_(network_),
      arbiter_(timeline_),
      observer_(timeline_) {
    if (settings.keep_log) timeline_.keep_log();
    network_.on_moment([this](Process& process, Moment moment, FrameType type, auto body) {
        at_moment(process, moment, type, body);
    });
    arbiter_.on_won([this] { look_for_survivors(); });
    start_backup();
    primary_ = std::make_unique<SimPrimary>(*this);
    arbiter_.begin(primary_->process());
}

World::~World() = default;

void World::start_backup() {
    backups_.push_back(std::make_unique<SimBackup>(*this, static_cast<int>(backups_.size()) + 1));
}

void World::connect() {
    SimBackup& backup = *backups_.back();
    network_.connect(
        primary_->process(), backup.process(),
        [this](auto channel) { primary_->machine().connected(std::move(channel)); },
        [&backup](auto channel) { backup.machine().connected(std::move(channel)); },
        [this] { primary_->machine().not_connected("the backup", "there is no network"); });
}

std::unique_ptr<lockstep::Lifeline> World::join(const lockstep::JoinMessage& message,
                                                lockstep::Lifeline::Terms terms) {
    SimBackup& backup = *backups_.back();
    return lifelines_.join(
        primary_->process(), backup.process(), message, std::move(terms),
        [this, &backup](const auto& join) -> Result<lockstep::Lifeline::Terms> {
            FMVM_TRY(backup.machine().join(join));
            lockstep::Lifeline::Terms own = backup.machine().lifeline_terms();
            if (settings_.without != Without::own_length) return own;
            halves_.push_back(
                std::make_unique<ForgetfulBackup>(own.half, settings_.without, settings_.permit));
            return lockstep::Lifeline::Terms{own.interval, own.role, *halves_.back(), own.lost};
        },
        [&backup](auto lifeline) { backup.machine().lifeline(std::move(lifeline)); });
}

void World::kill(Process& process, Death death) {
    if (!process.alive()) return;
    timeline_.note("{} is gone", process.name());
    process.die();
    network_.died(process, death);
    lifelines_.died(process, death);
    look_for_survivors();
}

void World::kill_primary(Death death) {
    kill(primary_->process(), death);
}

// It has joined the session, or cannot any more.
void World::tell_of_death() {
    if (primary_->process().alive() || !primary_->sentinel()) return;
    SimBackup& to = backup();
    to.process().post([this, &to, join = *primary_->sentinel()] {
        if (!to.machine().join(join).ok()) return;
        timeline_.note("the sentinel of the primary speaks");
        to.machine().primary_died();
    });
}

void World::kill_backup(Death death, std::optional<Duration> restart) {
    kill(backup().process(), death);
    if (restart) timeline_.after(*restart, [this] { start_backup(); });
}

void World::look_for_survivors() {
    if (lost_ || guest_ended()) return;
    const bool gave_up = primary_->end() == PrimaryEnd::backup_lost;
    const Process* const owner = arbiter_.owner();
    if (owner->alive() && !(gave_up && owner == &primary_->process())) return;
    lost_ = std::ranges::none_of(backups_, [this](const auto& backup) {
        return backup->could_take_over(arbiter_.newest());
    });
    if (lost_) timeline_.note("the guest is lost");
}

void World::guest_ended_orderly(const Process& process, std::uint64_t lines) {
    if (arbiter_.owner() != &process) return;
    timeline_.note("the guest has ended on {}", process.name());
    arbiter_.mark_ended();
    if (arbiter_.reachable(process.side()) && observer_.end() != lines * line_bytes)
        timeline_.broken("the guest ended after {} lines, {} were shown", lines, observer_.lines());
}

void World::when(int side, Moment moment, FrameType type, std::function<void()> action,
                 unsigned count) {
    triggers_.push_back({side, moment, type, count, std::move(action)});
}

void World::when_any(int side, unsigned count, std::function<void()> action) {
    triggers_.push_back({side, std::nullopt, FrameType::invalid, count, std::move(action)});
}

void World::at_moment(Process& process, Moment moment, FrameType type,
                      std::span<const std::uint8_t> body) {
    if (!process.alive()) return;
    if (type != FrameType::heartbeat)
        timeline_.note("{} {} {}", process.name(), name_of(moment), static_cast<int>(type));
    const bool from_primary = process.side() == 0;
    if (type == FrameType::commit && moment == Moment::before_receive) {
        const auto commit = lockstep::CommitMessage::decode(body);
        if (commit.ok()) backup().gets_commit(commit.value());
    }
    if (type == FrameType::ack && moment == Moment::before_send) backup().acknowledges();
    if (from_primary && moment == Moment::before_send) {
        if (type == FrameType::heartbeat)
            told_shown(lockstep::HeartbeatMessage::decode(body).value().output_shown);
        if (type == FrameType::commit)
            told_shown(lockstep::CommitMessage::decode(body).value().output_shown);
    }
    for (auto trigger = triggers_.begin(); trigger != triggers_.end();) {
        const bool fits =
            trigger->side == process.side() &&
            (!trigger->moment || (*trigger->moment == moment && trigger->type == type));
        if (!fits || --trigger->count != 0) {
            ++trigger;
            continue;
        }
        const std::function<void()> action = std::move(trigger->action);
        trigger = triggers_.erase(trigger);
        action();
    }
}

void World::check_shown(const Process& process, std::uint64_t end) {
    const lockstep::Generation generation = arbiter_.newest_of(process);
    if (generation < spoken_)
        timeline_.broken("{} shows output of generation {} after somebody has of {}",
                         process.name(), generation, spoken_);
    spoken_ = std::max(spoken_, generation);
    if (&process != &primary_->process()) return;
    for (const auto& backup : backups_) {
        const bool follows =
            backup->could_take_over(arbiter_.newest()) || arbiter_.owner() == &backup->process();
        if (follows && end > backup->committed_end()) {
            timeline_.broken("the primary shows {} bytes, {} has committed {}", end,
                             backup->process().name(), backup->committed_end());
        }
    }
}

void World::told_shown(std::uint64_t position) {
    if (arbiter_.owner() != &primary_->process() || position <= observer_.end()) return;
    timeline_.broken("the primary says that {} bytes were shown, {} were", position,
                     observer_.end());
}

void World::run_for(Duration duration) {
    bool over = false;
    timeline_.after(duration, [&over] { over = true; });
    while (!over && timeline_.run_one()) {
    }
}

bool World::run_until(const std::function<bool()>& condition, Duration limit) {
    const TimePoint end = timeline_.now() + limit;
    while (!condition()) {
        if (timeline_.now() >= end || !timeline_.run_one()) return false;
    }
    return true;
}

bool World::run_until_protected() {
    return run_until([this] { return is_protected(); });
}

bool World::is_protected() const {
    return primary_->runs() && primary_->state() == Primary::State::following &&
           backups_.back()->process().alive() &&
           backups_.back()->state() == Backup::State::following;
}

unsigned World::running() const {
    unsigned count = primary_->runs() ? 1 : 0;
    for (const auto& backup : backups_)
        count += backup->runs() ? 1 : 0;
    return count;
}

bool World::is_settled() const {
    if (guest_ended()) return running() == 0;
    if (lost_) return running() <= 1;
    if (running() != 1 || observer_.lines() < shown_before_ + lines_of_life) return false;
    if (!arbiter_.owner()->alive()) return false;
    return !primary_->runs() || !backups_.back()->process().alive() || is_protected();
}

void World::settle() {
    triggers_.clear();
    for (const int side : {0, 1}) {
        arbiter_.set_reachable(side, true);
        network_.thaw(side);
    }
    arbiter_.set_errors(0);
    arbiter_.set_writable(true);
    arbiter_.set_delay(200us, 2ms);
    primary_->process().wake();
    for (const auto& backup : backups_)
        backup->process().wake();
    shown_before_ = observer_.lines();
    timeline_.note("all faults end");
    if (!timeline_.failure().empty()) return;
    if (!run_until([this] { return is_settled(); }, settle_limit))
        timeline_.broken("it does not settle: {}", describe());
}

std::string World::describe() const {
    return fmt::format(
        "{} sides run, owner {} of generation {}, primary {} in state {}, {} {} in state {}, "
        "{} lines shown",
        running(), arbiter_.owner()->name(), arbiter_.newest(), primary_->runs() ? "up" : "down",
        name_of(primary_->state()), backups_.back()->process().name(),
        backups_.back()->process().alive() ? "up" : "down",
        static_cast<int>(backups_.back()->state()), observer_.lines());
}

}  // namespace fmvm::sim
