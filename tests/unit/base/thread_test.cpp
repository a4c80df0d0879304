// SPDX-License-Identifier: Apache-2.0
#include "base/thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <future>
#include <new>
#include <stdexcept>
#include <system_error>

#include "base/process_end.h"
#include "support/hidden_test.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

// Runs it on a thread, which is the end of this process.
void end_by(const std::function<void()>& body) {
    start_thread("a-thread", body).join();
}

}  // namespace

TEST_CASE("a thread has its name from its first moment on", "[thread]") {
    std::promise<std::string> seen;
    std::thread thread = start_thread("a-thread", [&] {
        std::array<char, 16> name{};
        ::pthread_getname_np(::pthread_self(), name.data(), name.size());
        seen.set_value(name.data());
    });
    CHECK(seen.get_future().get() == "a-thread");
    thread.join();
}

TEST_CASE("hidden: a thread that throws", "[.]") {
    end_by([] { throw std::runtime_error("the library gave up"); });
}
TEST_CASE("hidden: a thread without memory", "[.]") {
    end_by([] { throw std::bad_alloc(); });
}
TEST_CASE("hidden: a thread without descriptors", "[.]") {
    end_by([] { throw std::system_error(EMFILE, std::generic_category(), "eventfd"); });
}
TEST_CASE("hidden: a thread that throws a number", "[.]") {
    end_by([] { throw 1; });
}
TEST_CASE("hidden: two threads that throw", "[.]") {
    std::thread first = start_thread("first", [] { throw std::runtime_error("one of the two"); });
    std::thread second = start_thread("second", [] { throw std::runtime_error("one of the two"); });
    first.join();
    second.join();
}
TEST_CASE("hidden: a function that may not throw", "[.]") {
    prepare_process_end();
    const std::function<void()> throws = [] { throw std::runtime_error("all the same"); };
    end_by([&]() noexcept { throws(); });
}
TEST_CASE("hidden: a thread that nobody joins", "[.]") {
    prepare_process_end();
    ::signal(SIGABRT, SIG_DFL);
    const std::thread forgotten = start_thread("forgotten", [] {});
}

TEST_CASE("what a thread throws ends the process with a sentence and a status", "[thread]") {
    const auto check = [](const char* test, const std::string& sentence) {
        const EndedTest ended(test);
        CHECK(WIFEXITED(ended.status));
        CHECK(WEXITSTATUS(ended.status) == failed_process_status);
        CHECK(ended.said == sentence);
    };
    check("hidden: a thread that throws",
          "fmvm: the thread a-thread cannot go on: the library gave up\n");
    check("hidden: a thread without memory",
          "fmvm: the thread a-thread cannot go on: this host gives it no more memory\n");
    check("hidden: a thread without descriptors",
          "fmvm: the thread a-thread cannot go on: eventfd: Too many open files; raise the limit "
          "of open files (ulimit -n)\n");
    check("hidden: a thread that throws a number",
          "fmvm: the thread a-thread cannot go on: something was thrown that is no "
          "std::exception\n");
    check("hidden: a function that may not throw",
          "fmvm: the thread a-thread cannot go on: all the same\n");
}

TEST_CASE("of two threads that throw, one ends the process", "[thread]") {
    const EndedTest ended("hidden: two threads that throw");
    CHECK(WEXITSTATUS(ended.status) == failed_process_status);
    CHECK(ended.said.ends_with(" cannot go on: one of the two\n"));
    CHECK(std::count(ended.said.begin(), ended.said.end(), '\n') == 1);
}

TEST_CASE("an end without an exception is an internal error", "[thread]") {
    const EndedTest ended("hidden: a thread that nobody joins");
    CHECK(WTERMSIG(ended.status) == SIGABRT);
    CHECK(ended.said == "fmvm: internal error: std::terminate was called; please report this\n");
}

TEST_CASE("hidden: no thread to be had", "[.]") {
    const rlimit none{0, 0};
    REQUIRE(::setrlimit(RLIMIT_NPROC, &none) == 0);
    if (::geteuid() == 0) REQUIRE(::setuid(65534) == 0);  // the limit does not count for root
    CHECK_THROWS_WITH(start_thread("a-thread", [] {}),
                      "the thread a-thread cannot be started: Resource temporarily unavailable");
}

TEST_CASE("a thread that this host cannot give is named", "[thread]") {
    CHECK(EndedTest("hidden: no thread to be had").status == 0);
}
