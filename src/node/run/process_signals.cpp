// SPDX-License-Identifier: Apache-2.0
#include "node/run/process_signals.h"

#include <signal.h>

#include <utility>

#include "node/run/stop_signals.h"
#include "vmm/cpu/vcpu_thread.h"

namespace fmvm::node {

void prepare_signals() {
    ::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an I/O error of the guest's disk
    ::signal(SIGUSR1, SIG_IGN);  // asks for statistics; before there are any it kills nobody
    ::signal(SIGTTOU, SIG_IGN);  // a job in the background may show its console,
    ::signal(SIGTTIN, SIG_IGN);  // and is not stopped because it was reading when it became one
    prepare_kick_signal();
}

StopRequest::StopRequest(boost::asio::io_context& control) : signals_(control) {
    take();
    signals_.async_wait([number = number_](const boost::system::error_code& error, int came) {
        if (!error) number->happen(came);
    });
}

StopRequest::~StopRequest() {
    stop_listening();
}

void StopRequest::take() {
    for (const int number : stop_signals())
        signals_.add(number);
}

void StopRequest::listen(std::function<void(int)> listener) {
    take();
    number_->listen(std::move(listener));
}

void StopRequest::release() {
    signals_.clear();
}

}  // namespace fmvm::node
