// SPDX-License-Identifier: Apache-2.0
// A process of a few pages that says a last word for this one. It learns of this one's death before
// the kernel has taken its memory apart, and says so to whoever it was told to
// (docs/life.md, "Certain death").
//
// It is forked before there are threads and guest memory, and has no descriptors but its own: what
// this process opens, and what it had open, closes with this process alone. Its session is its own,
// so that a terminal's signals, and those to this process's group, do not reach it; those that ask
// a process to end it ignores. It ends
//
//     when this process ends in an orderly way   ~Sentinel() ends it, and waits for that
//     when this process has died                 and the word is said, or cannot be (seconds)
//
// Threads: the main one creates and destroys it. say_when_dead() and next_report() from any, one at
// a time.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"
#include "lockstep/sentinel/emitter_locks.h"
#include "lockstep/sentinel/last_word.h"

namespace fmvm::lockstep {

class Sentinel {
  public:
    // Before any other thread exists. The calling thread counts as one that can emit.
    static Result<std::unique_ptr<Sentinel>> start();
    // Nothing is said, whatever comes after that.
    ~Sentinel();
    Sentinel(const Sentinel&) = delete;
    Sentinel& operator=(const Sentinel&) = delete;

    // Each thread that can emit holds one of them.
    const std::shared_ptr<EmitterLocks>& emitters() const { return emitters_; }

    // Whom to tell of this process's death. False: the sentinel has ended, or does not get on.
    [[nodiscard]] bool say_when_dead(const LastWord& word);

    // Readable when there is a report, or when the sentinel has ended.
    int report_fd() const { return orders_.get(); }
    struct Reports {
        std::optional<SentinelReport> next = {};  // none for now
        bool has_ended = false;
    };
    Reports next_report();

    // Whether it was stopped (true) or went on since this was asked last; nothing: neither.
    std::optional<bool> stopped_anew();

    pid_t pid() const { return pid_; }

  private:
    Sentinel(std::shared_ptr<EmitterLocks> emitters, UniqueFd orders, pid_t pid)
        : emitters_(std::move(emitters)), orders_(std::move(orders)), pid_(pid) {}

    const std::shared_ptr<EmitterLocks> emitters_;
    const UniqueFd orders_;
    const pid_t pid_;
};

}  // namespace fmvm::lockstep
