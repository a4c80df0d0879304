// SPDX-License-Identifier: Apache-2.0
// Lets tasks that wait in a loop, a timer, a socket or another object outlive nobody.
//
// An object that posts tasks which use it has a TaskScope, and binds each task to it. When the
// object goes, its scope ends, and the tasks that still wait do nothing when their turn comes:
//
//     loop_.post(tasks_.bind([this] { start_waiting(); }));
//     ...
//     TaskScope tasks_;  // last: it ends before anything that the tasks use
//
// A task that uses its own object last may destroy it.
//
// Threads: any, for the owner and for the tasks. Whoever ends a scope waits for a task of it that
// runs on another thread, and so must not hold a lock that such a task takes. Tasks of one scope
// run one at a time.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace fmvm {

class TaskScope {
  public:
    TaskScope() = default;
    ~TaskScope() { end(); }
    TaskScope(const TaskScope&) = delete;
    TaskScope& operator=(const TaskScope&) = delete;

    // `task` while the scope lasts, and nothing from then on. It takes the arguments of `task`.
    // It can be copied if `task` can.
    template <typename Task>
    auto bind(Task task) const {
        return [state = state_, task = std::move(task)](auto&&... arguments) mutable {
            const std::lock_guard lock(state->mutex);
            if (!state->ended) task(std::forward<decltype(arguments)>(arguments)...);
        };
    }

    // Returns when no task runs any more, but for the one that calls this. Idempotent.
    void end() {
        const std::lock_guard lock(state_->mutex);
        state_->ended = true;
    }

  private:
    struct State {
        std::recursive_mutex mutex;  // a task may end its own scope
        bool ended = false;
    };
    const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace fmvm
