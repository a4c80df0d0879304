// SPDX-License-Identifier: Apache-2.0
// Whether what was written to one disk is on stable storage: at most one flush is in flight, and a
// flush that is asked for meanwhile follows it.
//
//              asked                  asked
//     clean ----------> flushing ----------------> dirty again
//       ^                |  ^  |                    |   |   |
//       +----- done -----+  |  |                    |   |   |
//                           +------ done: another --+   |   |
//                              |                        |   |
//                              +-- not done in time ----+---------> hung
//                              |                            |         | done, with an error
//                              +-- done, with an error -----+---> failed
//
// `failed` is final. Nobody waits for a flush that is `hung`; when it is done after all, the disk
// still is not trusted.
//
// Threads: one at a time.
#pragma once

#include <chrono>

#include "base/state_machine.h"

namespace fmvm::replay {

class DiskFlush {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    enum class State { clean, flushing, dirty_again, failed, hung };

    DiskFlush();

    State state() const { return state_.state(); }
    bool in_flight() const { return in_flight_; }

    // What was written must reach stable storage. True: submit a flush now.
    bool ask(TimePoint now);
    // The flush in flight is done. True: submit another now.
    bool done(bool ok, TimePoint now);

    // The flush in flight is not done, although it began `limit` ago.
    bool is_overdue(TimePoint now, std::chrono::milliseconds limit) const;
    // Nobody waits for the flush in flight any more, if there is one.
    void give_up();

  private:
    bool begin(TimePoint now);

    StateMachine<State> state_;
    bool in_flight_ = false;
    TimePoint began_{};
};

const char* name_of(DiskFlush::State state);

}  // namespace fmvm::replay
