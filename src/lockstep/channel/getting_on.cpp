// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/getting_on.h"

#include <fmt/format.h>

#include <algorithm>

namespace fmvm::lockstep {

void GettingOn::look(const Account& account, const Debt& debt, TimePoint now) {
    const bool late_itself = now - looked_ > 2 * look_every;
    const bool owed = owes_;
    measure(account, now);
    const bool got_on = has_got_on(account);
    seen_ = account;
    debt_ = debt;
    looked_ = now;
    owes_ = debt.what != nullptr || unhandled() != 0;
    if (!owes_ || !owed || late_itself || got_on) {
        mark_ = account;
        renewed_ = now;
    }
    due_ = renewed_ + debt.patience + on_their_way();
}

bool GettingOn::has_got_on(const Account& account) const {
    if (account.received != mark_.received || account.peer.steps != mark_.peer.steps) return true;
    if (account.moved - mark_.moved >= step) return true;
    const std::uint64_t enough = std::min(mark_.sent, mark_.peer.handled + step);
    return account.peer.handled > mark_.peer.handled && account.peer.handled >= enough;
}

void GettingOn::measure(const Account& account, TimePoint now) {
    const std::chrono::duration<double> time = now - measured_at_;
    if (time < measured_over) return;
    const std::uint64_t handled = std::max(account.peer.handled, measured_from_);
    const auto bytes = static_cast<double>(handled - measured_from_);
    const double rate = bytes / time.count();
    if (owes_ && rate >= least_rate) best_rate_ = std::max(best_rate_, rate);
    measured_at_ = now;
    measured_from_ = account.peer.handled;
}

GettingOn::Duration GettingOn::on_their_way() const {
    if (best_rate_ <= 0) return Duration::zero();
    const std::chrono::duration<double> time(4 * static_cast<double>(unhandled()) / best_rate_);
    return std::chrono::duration_cast<Duration>(time);
}

std::string GettingOn::owed() const {
    return debt_.what != nullptr ? fmt::format("{} is owed", debt_.what)
                                 : "it does not handle what it was sent";
}

std::string GettingOn::owed_for() const {
    const double seconds = std::chrono::duration<double>(waited()).count();
    const std::string bytes =
        unhandled() == 0 ? "" : fmt::format(", and {} bytes are not handled", unhandled());
    return fmt::format(
        "{} for {:.1f} s{}",
        debt_.what != nullptr ? fmt::format("it has owed {}", debt_.what) : "it has done nothing",
        seconds, bytes);
}

}  // namespace fmvm::lockstep
