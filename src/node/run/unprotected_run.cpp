// SPDX-License-Identifier: Apache-2.0
#include "node/run/unprotected_run.h"

#include <boost/asio/executor_work_guard.hpp>

#include "base/log.h"

namespace fmvm::node {

GuestEnd run_until_end(Machine& machine, boost::asio::io_context& control, StopRequest& stop,
                       Occurrence<GuestEnd>& ending, std::string_view component) {
    stop.listen([&](int number) {
        log::info(component, "stopping the guest signal={}", number);
        machine.request_end(GuestEnd::stopped);
    });
    ending.listen([&](GuestEnd) { control.stop(); });
    const auto work = boost::asio::make_work_guard(control);
    while (!ending.value()) {
        control.restart();
        control.run();
    }
    stop.stop_listening();
    ending.stop_listening();
    machine.halt_vcpus();
    return *ending.value();
}

}  // namespace fmvm::node
