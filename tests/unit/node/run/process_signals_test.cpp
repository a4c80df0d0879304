// SPDX-License-Identifier: Apache-2.0
#include "node/run/process_signals.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <optional>

using fmvm::node::StopRequest;

namespace {

// Runs what is ready, until a signal was heard.
int heard(boost::asio::io_context& control, StopRequest& stop) {
    std::optional<int> number;
    stop.listen([&](int came) { number = came; });
    while (!number) {
        control.restart();
        control.run_one();
    }
    stop.stop_listening();
    return *number;
}

}  // namespace

TEST_CASE("a stop request is remembered for whoever listens in a later phase", "[run]") {
    boost::asio::io_context control(1);
    StopRequest stop(control);
    ::raise(SIGTERM);
    CHECK(heard(control, stop) == SIGTERM);
    CHECK(heard(control, stop) == SIGTERM);
}

TEST_CASE("a stop request that was released ends the process, until somebody listens", "[run]") {
    boost::asio::io_context control(1);
    StopRequest stop(control);
    const auto handler_of_sigterm = [] {
        struct sigaction action {};
        ::sigaction(SIGTERM, nullptr, &action);
        return action.sa_handler;
    };
    CHECK(handler_of_sigterm() != SIG_DFL);
    stop.release();
    CHECK(handler_of_sigterm() == SIG_DFL);
    stop.listen([](int) {});
    CHECK(handler_of_sigterm() != SIG_DFL);
}
