// SPDX-License-Identifier: Apache-2.0
#include "sim/arbiter.h"

#include <algorithm>

namespace fmvm::sim {

using lockstep::Claim;
using lockstep::Generation;

void SimArbiter::claim(Process& process, Generation generation,
                       std::function<void(Result<Claim>)> answer) {
    if (!process.alive()) return;
    timeline_.note("{} claims {}", process.name(), generation);
    // The request goes out whatever becomes of the process; the answer needs it alive.
    timeline_.after(timeline_.rng().between(least_, most_), [this, &process, generation, answer] {
        const Result<Claim> claim = decide(process, generation);
        timeline_.note("arbiter to {}: {} {}", process.name(), generation,
                       !claim.ok()                   ? claim.error().message()
                       : claim.value() == Claim::won ? "won"
                                                     : "lost");
        process.at(timeline_.now() + timeline_.rng().between(least_, most_),
                   [answer, claim] { answer(claim); });
    });
}

void SimArbiter::try_claim(Process& process, std::function<void(Result<void>)> answer) {
    if (!process.alive()) return;
    const auto there = timeline_.rng().between(least_, most_);
    timeline_.after(there, [this, &process, answer] {
        Result<void> tried;
        if (!reachable(process.side())) tried = Error("the arbiter cannot be reached");
        if (!writable_) tried = Error("the arbiter cannot be written");
        process.at(timeline_.now() + timeline_.rng().between(least_, most_),
                   [answer, tried] { answer(tried); });
    });
}

Result<Claim> SimArbiter::decide(const Process& process, Generation generation) {
    if (!reachable(process.side())) return Error("the arbiter cannot be reached");
    if (!writable_) return Error("the arbiter cannot be written");
    const bool errs = errors_ != 0 && timeline_.rng().one_in(errors_);
    if (errs && timeline_.rng().one_in(2)) return Error("the arbiter fails before");
    if (generation > newest() + 1) timeline_.broken("a claim of {} skips one", generation);
    if (generation == newest() + 1) {
        winners_.push_back(&process);
        if (on_won_) on_won_();
    }
    if (errs) return Error("the arbiter fails after");
    return generation == newest() && owner() == &process ? Claim::won : Claim::lost;
}

Generation SimArbiter::newest_of(const Process& process) const {
    const auto last = std::find(winners_.rbegin(), winners_.rend(), &process);
    return static_cast<Generation>(winners_.rend() - last);
}

Result<bool> SimArbiter::is_newest(const Process& process, Generation own) const {
    if (!reachable(process.side())) return Error("the arbiter cannot be reached");
    for (Generation newer = own + 1; newer <= newest(); ++newer) {
        if (winners_[newer - 1] != &process) return false;
    }
    return true;
}

}  // namespace fmvm::sim
