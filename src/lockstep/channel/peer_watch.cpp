// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/peer_watch.h"

#include <algorithm>

#include "base/log.h"

namespace fmvm::lockstep {

// Until the peer's first sign nobody knows what it has handled.
std::optional<std::string> PeerWatch::lost(const Debt& debt, TimePoint now) {
    if (detector_.is_lost(now, last_heard())) return "nothing was heard of it for too long";
    if (auto why = lifeline_.lost(now)) return why;
    const std::optional<WorkDone> peer = lifeline_.peer_work();
    const Traffic traffic = channel_.traffic();
    progress_.look({.sent = peer ? traffic.sent : 0,
                    .moved = traffic.moved,
                    .received = received_,
                    .peer = peer.value_or(WorkDone{})},
                   debt, now);
    if (progress_.is_late())
        return fmt::format("it gives signs of life and gets no further: {}", progress_.owed_for());
    tell(now);
    return std::nullopt;
}

void PeerWatch::tell(TimePoint now) {
    if (progress_.waited() >= GettingOn::tell_after) {
        if (const auto told = waiting_.is(progress_.owed(), now))
            log::warning(component_, "waiting for {}: {}", channel_.peer(), *told);
    } else if (const auto lasted = waiting_.over(now)) {
        log::notice(component_, "{} gets on again; it was waited for {}", channel_.peer(), *lasted);
    }
}

PeerWatch::TimePoint PeerWatch::next_look() const {
    return std::min(
        {detector_.next_look(last_heard()), lifeline_.deadline(), progress_.next_look()});
}

}  // namespace fmvm::lockstep
