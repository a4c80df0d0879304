// SPDX-License-Identifier: Apache-2.0
// One robust mutex for each thread of a process that can emit, in memory that another process
// shares. That one learns by them that nothing can come out of the first any more, before the
// kernel has taken its memory apart (docs/life.md, "Certain death").
//
// A thread that dies gives its mutex up in exit_mm_release(): after it has run its last instruction
// and after io_uring's workers have ended for it, and before it lets go of the memory. The
// process's descriptors, and its pidfd, tell of it only after that.
//
//     a lock is            when                                        and then
//     free                 nobody has asked for it                     any thread may take it
//     held                 a thread can emit                           it ends, or dies
//     free again           that thread has ended in an orderly way     as before
//     taken for ever       it was free, or its thread has died, when   no thread can begin to emit
//                          wait_for_end() came to it
//
// The first lock is the main thread's, from create() until the process ends. So whoever waits waits
// for that one, and looks at the others when that thread has died.
#pragma once

#include <pthread.h>

#include <array>
#include <memory>

#include "base/result.h"

namespace fmvm::lockstep {

class EmitterLocks : public std::enable_shared_from_this<EmitterLocks> {
  public:
    // The calling thread holds the first lock.
    static Result<std::shared_ptr<EmitterLocks>> create();
    ~EmitterLocks();
    EmitterLocks(const EmitterLocks&) = delete;
    EmitterLocks& operator=(const EmitterLocks&) = delete;

    // The calling thread can emit from now on, until it ends. A thread is held by the locks of one
    // process's life only: calls after the first change nothing. Does not return when
    // wait_for_end() has come to its end: this process counts as dead.
    void hold();

    enum class End {
        died,     // and none of its threads emits anything any more
        orderly,  // its main thread has ended by itself
    };
    // In another process, which was forked after create(). Waits for as long as it takes.
    End wait_for_end();

    // Threads that can emit at one time: main, and for each machine its device thread and whoever
    // drains its console. One machine may come up while another one goes.
    static constexpr std::size_t threads_max = 16;

  private:
    struct Page {
        std::array<pthread_mutex_t, threads_max> locks;
    };
    class Holding;

    explicit EmitterLocks(Page& page);
    void hold(pthread_mutex_t& lock);
    static Holding& of_this_thread();

    Page& page_;
};

}  // namespace fmvm::lockstep
