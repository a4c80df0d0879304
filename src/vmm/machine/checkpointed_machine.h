// SPDX-License-Identifier: Apache-2.0
// What taking checkpoints needs of a machine: that it stands, its memory and its state. A Machine
// is one; so is a test's, without KVM.
//
// Threads: the machine's controlling thread.
#pragma once

#include "base/result.h"
#include "vmm/machine/state_image.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/memory/page_set.h"

namespace fmvm {

class CheckpointedMachine {
  public:
    virtual ~CheckpointedMachine() = default;
    virtual GuestMemory& memory() = 0;
    // All state beside RAM. Only while a QuiesceGuard lives.
    virtual Result<StateImage> save() = 0;
    // Pages whose content is not settled although all stands: what a disk is reading into them will
    // be marked dirty when it is there. Only while a QuiesceGuard lives.
    virtual PageSet unsettled_pages() const = 0;
    // The guest has ended: devices take what it left in their queues, for nobody would carry that
    // out with its last state. Waits for vCPUs to stand. Not while a QuiesceGuard lives.
    virtual void take_last_requests() = 0;
    // vCPUs go before our other threads where they compete for a CPU, or no longer do. No effect
    // where the host has no CPU to spare or does not permit it.
    virtual void set_vcpus_first(bool first) = 0;

  private:
    friend class QuiesceGuard;
    // In pairs, which may nest.
    virtual void stand_still() = 0;
    virtual void run_on() = 0;
};

// While it lives, vCPUs and devices stand still; when it goes, they run on, if they ran before.
class QuiesceGuard {
  public:
    explicit QuiesceGuard(CheckpointedMachine& machine);
    ~QuiesceGuard();
    QuiesceGuard(const QuiesceGuard&) = delete;
    QuiesceGuard& operator=(const QuiesceGuard&) = delete;

  private:
    CheckpointedMachine& machine_;
};

}  // namespace fmvm
