// SPDX-License-Identifier: Apache-2.0
#include "node/run/stop_request.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <optional>
#include <thread>

#include "support/hidden_test.h"

using namespace fmvm;
using namespace fmvm::test;
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

void restore_default_actions() {
    for (const int number : {SIGTERM, SIGINT, SIGHUP})
        ::signal(number, SIG_DFL);
}

}  // namespace

TEST_CASE("hidden: a stop signal and others behind it", "[.]") {
    restore_default_actions();
    boost::asio::io_context control(1);
    {
        const auto stop = StopRequest::take(control).value();
        CHECK_FALSE(stop->came());
        for (const int number : {SIGTERM, SIGHUP, SIGINT, SIGTERM})
            ::raise(number);
        CHECK(stop->came());
        CHECK(heard(control, *stop) == SIGTERM);
        ::raise(SIGHUP);
        CHECK(heard(control, *stop) == SIGTERM);
    }
    ::raise(SIGTERM);  // while the process tidies up
    ::raise(SIGINT);
}

TEST_CASE("a second signal changes nothing while an orderly end is under way", "[run]") {
    CHECK(EndedTest("hidden: a stop signal and others behind it").status == 0);
}

TEST_CASE("hidden: stop signals on many threads", "[.]") {
    restore_default_actions();
    boost::asio::io_context control(1);
    const auto stop = StopRequest::take(control).value();
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([i] {
            for (int j = 0; j < 1000; ++j)
                ::raise((i + j) % 2 == 0 ? SIGTERM : SIGHUP);
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    const int first = heard(control, *stop);
    CHECK((first == SIGTERM || first == SIGHUP));
}

TEST_CASE("signals on many threads are one request", "[run]") {
    CHECK(EndedTest("hidden: stop signals on many threads").status == 0);
}

TEST_CASE("hidden: a stop signal after the limit of an end", "[.]") {
    restore_default_actions();
    boost::asio::io_context control(1);
    const auto stop = StopRequest::take(control, std::chrono::nanoseconds(0)).value();
    ::raise(SIGTERM);
    ::raise(SIGHUP);
    FAIL("it did not end");
}

TEST_CASE("an end that is overdue is cut short by the next signal", "[run]") {
    const int status = EndedTest("hidden: a stop signal after the limit of an end").status;
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGHUP);
}

TEST_CASE("hidden: a hangup that nohup has ignored", "[.]") {
    restore_default_actions();
    ::signal(SIGHUP, SIG_IGN);
    boost::asio::io_context control(1);
    const auto stop = StopRequest::take(control).value();
    ::raise(SIGHUP);
    CHECK_FALSE(stop->came());
}

TEST_CASE("a signal that was ignored at the start asks for nothing", "[run]") {
    CHECK(EndedTest("hidden: a hangup that nohup has ignored").status == 0);
}

TEST_CASE("hidden: a request before anybody listens", "[.]") {
    boost::asio::io_context control(1);
    const auto stop = StopRequest::take(control).value();
    ::raise(SIGTERM);
    CHECK(heard(control, *stop) == SIGTERM);
    CHECK(heard(control, *stop) == SIGTERM);
}

TEST_CASE("a stop request is remembered for whoever listens in a later phase", "[run]") {
    CHECK(EndedTest("hidden: a request before anybody listens").status == 0);
}
