// SPDX-License-Identifier: Apache-2.0
#include "sim/faults.h"

#include "sim/sim_backup.h"
#include "sim/sim_primary.h"

namespace fmvm::sim {

using lockstep::OnBackupLost;
using lockstep::SyncMode;

namespace {

constexpr Duration outage_max = 600ms;
constexpr Duration pause_max = 900ms;

class Planner {
  public:
    Planner(World& world, std::uint64_t seed) : world_(world), rng_(~seed) {}

    void plan() {
        if (rng_.one_in(4)) world_.network().set_weight(rng_.one_in(2) ? 100 : 2000);
        if (rng_.one_in(4)) world_.network().set_delay(50us, 8ms);
        if (rng_.one_in(4)) world_.arbiter().set_delay(1ms, 200ms);
        if (rng_.one_in(3)) world_.arbiter().set_errors(2);
        const std::uint64_t faults = rng_.below(6);
        for (std::uint64_t i = 0; i < faults; ++i)
            add_fault();
    }

  private:
    // Either at some time, or at some message.
    void at_some_point(std::function<void()> action) {
        if (rng_.one_in(2)) {
            world_.timeline().after(rng_.between(0ms, fault_time), std::move(action));
            return;
        }
        const auto count = static_cast<unsigned>(1 + rng_.below(rng_.one_in(2) ? 60 : 2000));
        world_.when_any(side(), count, std::move(action));
    }
    int side() { return rng_.one_in(2) ? 0 : 1; }
    Death death() { return static_cast<Death>(rng_.below(3)); }
    std::optional<Duration> restart() {
        if (rng_.one_in(3)) return std::nullopt;
        return rng_.between(1ms, 300ms);
    }
    Process& process(int of) {
        return of == 0 ? world_.primary().process() : world_.backup().process();
    }

    void add_fault() {
        switch (rng_.below(16)) {
            case 0:
                return kill_primary();
            case 1:
                return kill_backup();
            case 2:
            case 3:
                return pause();
            case 4:
                return cut();
            case 5:
            case 6:
                return freeze();
            case 7:
                return isolate_from_arbiter();
            case 8:
                return stall_console();
            case 9:
                return lie();
            case 11:
                return take_no_claims();
            case 12:
                return be_slow();
            case 10:
                return end_untruly();
            case 13:
                return hang();
            case 14:
                return reset_unseen();
            default:
                return at_some_point([this] { world_.primary().ask_to_switch_over(); });
        }
    }
    void kill_primary() {
        // Its sentinel may have died before, and may come late.
        const bool has_sentinel = !rng_.one_in(3);
        const Duration late = rng_.one_in(2) ? Duration::zero() : rng_.between(1ms, 300ms);
        at_some_point([this, death = death(), has_sentinel, late] {
            world_.kill_primary(death);
            if (has_sentinel) world_.timeline().after(late, [this] { world_.tell_of_death(); });
        });
    }
    void kill_backup() {
        at_some_point([this, death = death(), restart = restart()] {
            if (world_.backup().process().alive()) world_.kill_backup(death, restart);
        });
    }
    void pause() {
        at_some_point([this, of = side(), length = rng_.between(1ms, pause_max)] {
            world_.timeline().note("{} is stopped", process(of).name());
            process(of).pause(length);
        });
    }
    void hang() {
        at_some_point([this, of = side(), length = rng_.between(1ms, pause_max)] {
            world_.timeline().note("the working thread of {} stands", process(of).name());
            process(of).hang(length);
        });
    }
    void cut() {
        const std::uint64_t which = rng_.below(4);  // both, mostly; or one of them
        at_some_point([this, which, tell_primary = !rng_.one_in(3), tell_backup = !rng_.one_in(3)] {
            world_.timeline().note("connections cut ({}), told: {} {}", which, tell_primary,
                                   tell_backup);
            if (which != 0) world_.network().cut(tell_primary, tell_backup);
            if (which != 1) world_.lifelines().cut(tell_primary, tell_backup);
        });
    }
    // By a middle box, of the backup's side only, while the reader of what was acknowledged stalls.
    void reset_unseen() {
        at_some_point([this, stall = rng_.between(1ms, 80ms)] {
            world_.timeline().note("the backup's connection is reset");
            world_.primary().console().stall(stall);
            world_.timeline().after(2ms, [this] { world_.network().cut(false, true); });
        });
    }
    void freeze() {
        at_some_point(
            [this, of = side(), both = rng_.one_in(2), length = rng_.between(1ms, outage_max)] {
                for (const int from : {of, both ? 1 - of : of}) {
                    world_.timeline().note("what side {} sends stands still", from);
                    world_.network().freeze(from);
                    world_.timeline().after(length, [this, from] { world_.network().thaw(from); });
                }
            });
    }
    void isolate_from_arbiter() {
        at_some_point([this, of = side(), length = rng_.between(1ms, outage_max)] {
            world_.timeline().note("side {} cannot reach the arbiter", of);
            world_.arbiter().set_reachable(of, false);
            world_.timeline().after(length,
                                    [this, of] { world_.arbiter().set_reachable(of, true); });
        });
    }
    void take_no_claims() {
        at_some_point([this, length = rng_.between(1ms, outage_max)] {
            world_.timeline().note("the arbiter cannot be written");
            world_.arbiter().set_writable(false);
            world_.timeline().after(length, [this] { world_.arbiter().set_writable(true); });
        });
    }
    void be_slow() {
        at_some_point([this] {
            world_.timeline().note("the arbiter is slow from now on");
            world_.arbiter().set_delay(100ms, outage_max);
        });
    }
    // Words of a peer that are not true, and out of turn.
    void lie() {
        at_some_point([this] { world_.primary().hears(lockstep::SwitchedMessage{2}); });
    }
    void end_untruly() {
        at_some_point([this] { world_.backup().hears_untrue_end(); });
    }
    void stall_console() {
        at_some_point([this, of = side(), length = rng_.between(1ms, outage_max)] {
            Console& console = of == 0 ? world_.primary().console() : world_.backup().console();
            console.stall(length);
        });
    }

    World& world_;
    Rng rng_;
};

}  // namespace

Settings settings_of(std::uint64_t seed) {
    Rng rng(seed * 7 + 1);
    Settings settings;
    settings.seed = seed;
    settings.mode = static_cast<SyncMode>(rng.below(3));
    if (rng.one_in(8)) settings.on_backup_lost = OnBackupLost::stop;
    if (rng.one_in(3)) settings.guest_steps = 1 + rng.below(1000);
    if (rng.one_in(4)) settings.disks_held = rng.between(1ms, outage_max);
    if (rng.one_in(3)) settings.permit = 10ms;
    return settings;
}

// What it planned refers to it, and lives as long as the world.
void plan_faults(World& world, std::uint64_t seed) {
    const auto planner = std::make_shared<Planner>(world, seed);
    planner->plan();
    world.keep(planner);
}

}  // namespace fmvm::sim
