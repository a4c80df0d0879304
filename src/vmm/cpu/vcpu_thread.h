// SPDX-License-Identifier: Apache-2.0
// The thread of one vCPU and its run states:
//
//     created --resume--> running --request_stop--> stopping --(thread)--> stopped --resume-->
//     running created, stopped --finish--> finished
//
// A vCPU that meets the end of the guest (crash, unsupported) reports it and goes to `stopped` by
// itself. In `created` and `stopped` the registers hold still and every port or MMIO access of the
// guest is complete, so that its state can be captured.
//
// A kick is never lost: request_stop() publishes the wish, sets kvm_run's immediate_exit and then
// signals; the thread clears immediate_exit before it looks for wishes. A signal before KVM_RUN is
// covered by the flag, one during KVM_RUN ends it. The signal is blocked in all other threads.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "base/mutex.h"
#include "vmm/cpu/vcpu.h"

namespace fmvm {

// Blocks the kick signal in the calling thread (and those it starts) and installs its handler.
// Call once in main before any thread exists.
void prepare_kick_signal();

enum class RunState { created, running, stopping, stopped, finished };

class VcpuThread {
  public:
    // on_end is called on the vCPU thread when the guest cannot go on: crashed or unsupported.
    using EndHandler = std::function<void(VcpuExit, const Vcpu&)>;
    VcpuThread(Vcpu vcpu, EndHandler on_end);
    ~VcpuThread();  // finishes the thread if it still lives

    VcpuThread(const VcpuThread&) = delete;
    VcpuThread& operator=(const VcpuThread&) = delete;

    // Controlling thread: created or stopped -> running. Refused (false) in any other state.
    [[nodiscard]] bool resume();
    // Any thread, the vCPU's own included: asks a running vCPU to stop; no effect otherwise.
    void request_stop();
    // Controlling thread: waits until the vCPU stands (created or stopped).
    void wait_stopped();
    // Controlling thread: stops and joins the thread.
    void finish();
    // Controlling thread: whether it goes before other threads that compete for its CPU.
    void set_first(bool first);

    RunState state() const;
    // Only while the vCPU stands.
    Vcpu& vcpu() { return vcpu_; }

  private:
    bool is_running() const FMVM_REQUIRES(mutex_);
    void thread_main();
    void run_guest();

    Vcpu vcpu_;
    EndHandler on_end_;
    const int usual_niceness_;
    mutable Mutex mutex_;
    Condition changed_;
    RunState state_ FMVM_GUARDED_BY(mutex_) = RunState::created;
    bool finish_requested_ FMVM_GUARDED_BY(mutex_) = false;
    std::atomic<bool> stop_requested_{false};
    std::atomic<pid_t> thread_id_{0};  // 0: has not begun
    std::thread thread_;
};

}  // namespace fmvm
