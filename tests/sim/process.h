// SPDX-License-Identifier: Apache-2.0
// A simulated process: it runs events one after the other, may be at work or stopped (SIGSTOP) for
// a while, during which they wait, and may die. Its clock goes on meanwhile, as the real one does.
#pragma once

#include <algorithm>
#include <string>

#include "lockstep/channel/permit_terms.h"
#include "sim/timeline.h"

namespace fmvm::sim {

// Pauses of 5 ms: as long as the program tries to write the rest of its console.
constexpr unsigned exit_tries = 200;

class Process {
  public:
    // side: 0 for the primary's host, 1 for the backup's. id: never used again by another.
    Process(Timeline& timeline, std::string name, int side, int id)
        : timeline_(timeline), name_(std::move(name)), side_(side), id_(id) {}
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    const std::string& name() const { return name_; }
    int side() const { return side_; }
    int id() const { return id_; }
    bool alive() const { return alive_; }
    void die() { alive_ = false; }

    // Its host's CLOCK_BOOTTIME at a moment of true time: hosts were started at different times,
    // and their clocks run a little wrong, in opposite directions.
    lockstep::BootTime boot_time(TimePoint at) const {
        constexpr std::int64_t wrong_by = 1000;  // one part in so many
        const auto true_time = at.time_since_epoch() + (side_ == 0 ? 7h : 3s) - stood(at);
        return true_time + (side_ == 0 ? -1 : 1) * true_time / wrong_by;
    }
    TimePoint now() const { return std::max(timeline_.now(), free_at_); }
    // The event under way takes this long.
    void spend(Duration work) { free_at_ = now() + work; }
    // All of its threads stand.
    void pause(Duration length) {
        stood_before_ = stood(timeline_.now());
        stopped_at_ = timeline_.now();
        stopped_until_ = timeline_.now() + length;
        free_at_ = std::max(free_at_, stopped_until_);
    }
    // From now on its host's clock stands while it does, as that of a paused virtual host may.
    void stop_clock_with_it() { clock_stops_ = true; }
    // Its working thread stands; those of its network and its lifeline go on.
    void hang(Duration length) { free_at_ = std::max(free_at_, timeline_.now() + length); }
    bool stopped() const { return timeline_.now() < stopped_until_; }
    void wake() { free_at_ = stopped_until_ = timeline_.now(); }

    // Runs `task` at `when` or as soon afterwards as this process runs; never once it is dead.
    void at(TimePoint when, std::function<void()> task) {
        timeline_.at(when, [this, task = std::move(task)]() mutable {
            if (!alive_) return;
            if (timeline_.now() < free_at_) {
                at(free_at_, std::move(task));
                return;
            }
            task();
            if (alive_ && after_each_) after_each_();
        });
    }
    void post(std::function<void()> task) { at(now(), std::move(task)); }
    void after(Duration delay, std::function<void()> task) { at(now() + delay, std::move(task)); }
    // Runs after every event, as a loop that arms its timer anew.
    void after_each(std::function<void()> hook) { after_each_ = std::move(hook); }

  private:
    // How long its clock has stood until then.
    Duration stood(TimePoint at) const {
        if (!clock_stops_) return {};
        return stood_before_ + std::max(Duration{}, std::min(at, stopped_until_) - stopped_at_);
    }

    Timeline& timeline_;
    std::string name_;
    int side_;
    int id_;
    bool alive_ = true;
    TimePoint free_at_{};
    TimePoint stopped_until_{};
    TimePoint stopped_at_{};  // last
    Duration stood_before_{};
    bool clock_stops_ = false;
    std::function<void()> after_each_;
};

// One timer, as ReplicationThread keeps it: asked for its deadline after every event.
class Timer {
  public:
    Timer(Process& process, std::function<TimePoint()> deadline, std::function<void()> tick)
        : process_(process), deadline_(std::move(deadline)), tick_(std::move(tick)) {
        process_.after_each([this] { arm(); });
    }

  private:
    void arm() {
        const TimePoint due = deadline_();
        if (due == armed_) return;
        armed_ = due;
        const unsigned turn = ++turn_;
        if (due == TimePoint::max()) return;
        process_.at(std::max(due, process_.now()), [this, turn] {
            if (turn != turn_) return;
            armed_ = TimePoint::max();
            tick_();
        });
    }

    Process& process_;
    std::function<TimePoint()> deadline_;
    std::function<void()> tick_;
    TimePoint armed_ = TimePoint::max();
    unsigned turn_ = 0;
};

}  // namespace fmvm::sim
