// SPDX-License-Identifier: Apache-2.0
#include "replay/apply/disk_flush.h"

namespace fmvm::replay {

namespace {

using State = DiskFlush::State;

constexpr Transition<State> transitions[] = {
    {State::clean, State::flushing},       {State::flushing, State::clean},
    {State::flushing, State::dirty_again}, {State::flushing, State::failed},
    {State::flushing, State::hung},        {State::dirty_again, State::flushing},
    {State::dirty_again, State::failed},   {State::dirty_again, State::hung},
    {State::hung, State::failed},
};

}  // namespace

const char* name_of(DiskFlush::State state) {
    switch (state) {
        case State::clean:
            return "clean";
        case State::flushing:
            return "flushing";
        case State::dirty_again:
            return "dirty again";
        case State::failed:
            return "failed";
        case State::hung:
            return "hung";
    }
    return "unknown";
}

DiskFlush::DiskFlush() : state_(State::clean, transitions) {}

bool DiskFlush::begin(TimePoint now) {
    FMVM_CHECK(!in_flight_);
    state_.enter(State::flushing);
    in_flight_ = true;
    began_ = now;
    return true;
}

bool DiskFlush::ask(TimePoint now) {
    if (state_.is(State::clean)) return begin(now);
    if (state_.is(State::flushing)) state_.enter(State::dirty_again);
    return false;
}

bool DiskFlush::done(bool ok, TimePoint now) {
    FMVM_CHECK(in_flight_);
    in_flight_ = false;
    if (!ok) {
        state_.enter(State::failed);
    } else if (state_.is(State::dirty_again)) {
        return begin(now);
    } else if (!state_.is(State::hung)) {
        state_.enter(State::clean);
    }
    return false;
}

bool DiskFlush::is_overdue(TimePoint now, std::chrono::milliseconds limit) const {
    return in_flight_ && now - began_ >= limit;
}

void DiskFlush::give_up() {
    if (in_flight_ && !state_.is(State::hung)) state_.enter(State::hung);
}

}  // namespace fmvm::replay
