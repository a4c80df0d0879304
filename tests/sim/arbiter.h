// SPDX-License-Identifier: Apache-2.0
// The arbiter of the simulation, as arbiter.h describes one: slow, sometimes wrong about having
// failed, sometimes read-only, sometimes out of one side's reach.
#pragma once

#include <array>
#include <vector>

#include "lockstep/arbiter/arbiter.h"
#include "sim/process.h"

namespace fmvm::sim {

class SimArbiter {
  public:
    explicit SimArbiter(Timeline& timeline) : timeline_(timeline) {}

    void claim(Process& process, lockstep::Generation generation,
               std::function<void(Result<lockstep::Claim>)> answer);
    void try_claim(Process& process, std::function<void(Result<void>)> answer);
    Result<bool> is_newest(const Process& process, lockstep::Generation own) const;
    // The guest starts: this process wins generation 1.
    void begin(const Process& process) { winners_.push_back(&process); }
    // Called when a generation is won, be it by somebody who has died since.
    void on_won(std::function<void()> handler) { on_won_ = std::move(handler); }
    void mark_ended() { ended_ = true; }

    lockstep::Generation newest() const { return winners_.size(); }
    // The newest one that this process has won; 0: none.
    lockstep::Generation newest_of(const Process& process) const;
    // Who won the newest generation.
    const Process* owner() const { return winners_.empty() ? nullptr : winners_.back(); }
    bool has_ended() const { return ended_; }

    void set_reachable(int side, bool reachable) {
        reachable_[static_cast<std::size_t>(side)] = reachable;
    }
    bool reachable(int side) const { return reachable_[static_cast<std::size_t>(side)]; }
    // It answers who has claimed what, and takes no claim: its medium is read-only, or full.
    void set_writable(bool writable) { writable_ = writable; }
    void set_delay(Duration least, Duration most) { least_ = least, most_ = most; }
    // One claim in `n` is answered with an error, before or after it was carried out; 0: none.
    void set_errors(unsigned n) { errors_ = n; }

  private:
    Result<lockstep::Claim> decide(const Process& process, lockstep::Generation generation);

    Timeline& timeline_;
    std::vector<const Process*> winners_;  // of generation 1, 2, ...
    std::array<bool, 2> reachable_{true, true};
    Duration least_ = 200us;
    Duration most_ = 2ms;
    unsigned errors_ = 0;
    bool writable_ = true;
    bool ended_ = false;
    std::function<void()> on_won_;
};

}  // namespace fmvm::sim
