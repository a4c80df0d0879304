// SPDX-License-Identifier: Apache-2.0
#include "sim/console.h"

namespace fmvm::sim {

namespace {

constexpr Duration retry = 5ms;
constexpr Duration look_again = 50us;  // a timer would go off in time
constexpr Duration drain_limit = 1s;

}  // namespace

Console::Console(Timeline& timeline, Process& process, const SimArbiter& arbiter,
                 lockstep::PairPermit& pair, Observer& observer,
                 std::function<lockstep::Generation()> generation, std::function<void()> wanted,
                 Check check)
    : timeline_(timeline),
      process_(process),
      arbiter_(arbiter),
      pair_(pair),
      observer_(observer),
      generation_(std::move(generation)),
      wanted_(std::move(wanted)),
      check_(std::move(check)),
      allows_([this](lockstep::BootTime now) { return pair_.allows(now); }) {}

void Console::write(std::span<const std::uint8_t> bytes) {
    if (bytes.empty() || !process_.alive()) return;
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    write_later(timeline_.rng().between(0us, 500us));
}

void Console::write_later(Duration delay) {
    if (std::exchange(waking_, true)) return;
    process_.after(delay, [this] {
        waking_ = false;
        const Written written = write_piece();
        if (written == Written::some) write_later(timeline_.rng().between(0us, 300us));
        if (written == Written::not_yet) write_later(retry);
        if (written == Written::silent) write_later(look_again);
    });
}

// What a process does in one event takes no time on the timeline: each side takes the moment that
// is the worse one for it.
std::optional<bool> Console::may_write() {
    if (pair_.right() != lockstep::PairPermit::Right::promises) {
        const Result<bool> newest = arbiter_.is_newest(process_, generation_());
        return newest.ok() ? std::optional<bool>(newest.value()) : std::nullopt;
    }
    if (allows_(process_.boot_time(process_.now()))) return true;
    wanted_();
    return std::nullopt;
}

Console::Written Console::write_piece() {
    if (pending_.empty()) return Written::all;
    if (process_.now() < stalled_until_) return Written::not_yet;
    if (process_.boot_time(timeline_.now()) < speak_from_) return Written::silent;
    const std::optional<bool> may = may_write();
    if (!may) return Written::not_yet;
    const bool revoked = !*may;
    const std::size_t count =
        revoked ? pending_.size() : 1 + timeline_.rng().below(pending_.size());
    const auto last = pending_.begin() + static_cast<std::ptrdiff_t>(count);
    if (revoked) {
        timeline_.note("{} drops {} bytes of output", process_.name(), count);
    } else {
        check_(position_ + count);
        observer_.sees(process_.name(), position_, std::span(pending_).first(count));
    }
    pending_.erase(pending_.begin(), last);
    position_ += count;
    return pending_.empty() ? Written::all : Written::some;
}

void Console::drain() {
    const TimePoint limit = process_.now() + drain_limit;
    while (process_.alive() && process_.now() < limit) {
        const Written written = write_piece();
        if (written == Written::all) return;
        if (written != Written::some) process_.spend(retry);
    }
}

}  // namespace fmvm::sim
