// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/vcpu_thread.h"

#include <pthread.h>
#include <signal.h>

#include "base/check.h"
#include "base/thread.h"
#include "base/thread_priority.h"

namespace fmvm {

namespace {

// Three times the share of a thread that competes with it: a quarter more for each step (sched(7)).
constexpr int first_steps = 5;

int kick_signal() {
    return SIGRTMIN;
}

sigset_t kick_signal_set() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, kick_signal());
    return set;
}

}  // namespace

void prepare_kick_signal() {
    struct sigaction action {};
    action.sa_handler = [](int) {};  // its only work is to end KVM_RUN with EINTR
    sigemptyset(&action.sa_mask);
    FMVM_CHECK(::sigaction(kick_signal(), &action, nullptr) == 0);
    const sigset_t set = kick_signal_set();
    FMVM_CHECK(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
}

VcpuThread::VcpuThread(Vcpu vcpu, EndHandler on_end)
    : vcpu_(std::move(vcpu)),
      on_end_(std::move(on_end)),
      usual_niceness_(niceness_of(0)),  // which a new thread inherits
      thread_(start_thread(fmt::format("vcpu-{}", vcpu_.id()), [this] { thread_main(); })) {}

VcpuThread::~VcpuThread() {
    finish();
}

RunState VcpuThread::state() const {
    const Lock lock(mutex_);
    return state_;
}

// A vCPU that was asked to stop runs until its thread says that it stands.
bool VcpuThread::is_running() const {
    return state_ == RunState::running || state_ == RunState::stopping;
}

bool VcpuThread::resume() {
    const Lock lock(mutex_);
    if (state_ != RunState::created && state_ != RunState::stopped) return false;
    stop_requested_ = false;
    state_ = RunState::running;
    changed_.notify_all();
    return true;
}

void VcpuThread::request_stop() {
    const Lock lock(mutex_);
    if (state_ != RunState::running) return;
    state_ = RunState::stopping;
    stop_requested_ = true;
    vcpu_.kick();
    if (thread_.get_id() != std::this_thread::get_id()) {
        FMVM_CHECK(::pthread_kill(thread_.native_handle(), kick_signal()) == 0);
    }
}

void VcpuThread::wait_stopped() {
    const Lock lock(mutex_);
    while (is_running())
        changed_.wait(mutex_);
}

void VcpuThread::finish() {
    if (!thread_.joinable()) return;
    request_stop();
    {
        const Lock lock(mutex_);
        finish_requested_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

void VcpuThread::set_first(bool first) {
    const pid_t thread = thread_id_;
    if (thread != 0) set_niceness(thread, usual_niceness_ - (first ? first_steps : 0));
}

void VcpuThread::thread_main() {
    thread_id_ = ::gettid();
    const sigset_t set = kick_signal_set();
    FMVM_CHECK(::pthread_sigmask(SIG_UNBLOCK, &set, nullptr) == 0);
    Lock lock(mutex_);
    while (true) {
        while (!is_running() && !finish_requested_)
            changed_.wait(mutex_);
        if (!is_running()) break;
        lock.unlock();
        run_guest();
        lock.lock();
        state_ = RunState::stopped;
        changed_.notify_all();
    }
    state_ = RunState::finished;
}

// A vCPU only stops after a KVM_RUN that ended with EINTR: KVM finishes a pending port or MMIO
// access on its way in, before it sees immediate_exit (api.rst, KVM_RUN), so none is left half
// done.
void VcpuThread::run_guest() {
    while (true) {
        vcpu_.clear_kick();
        if (stop_requested_) return;
        VcpuExit exit = VcpuExit::handled;
        while (exit == VcpuExit::handled)
            exit = vcpu_.run();
        if (exit == VcpuExit::interrupted) continue;
        on_end_(exit, vcpu_);
        return;
    }
}

}  // namespace fmvm
