// SPDX-License-Identifier: Apache-2.0
#include "base/standard_error.h"

#include <fcntl.h>
#include <signal.h>

#include <catch2/catch.hpp>

#include "base/check.h"
#include "base/log.h"
#include "support/hidden_test.h"
#include "support/pipe.h"

using namespace fmvm;
using namespace fmvm::test;

TEST_CASE("hidden: an invariant that does not hold", "[.]") {
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGABRT, SIG_DFL);
    log::error("test", "said before");
    FMVM_CHECK(1 + 1 == 3);
}

TEST_CASE("a failed check is told after what was logged before it", "[log]") {
    const EndedTest ended("hidden: an invariant that does not hold");
    CHECK(WTERMSIG(ended.status) == SIGABRT);
    const std::size_t before = ended.said.find("] error test: said before\n");
    const std::size_t check = ended.said.find("fmvm: internal error: 1 + 1 == 3 does not hold at ");
    REQUIRE(before != std::string::npos);
    REQUIRE(check != std::string::npos);
    CHECK(before < check);
}

TEST_CASE("a failed check ends the process whoever reads its standard error", "[log]") {
    Pipe unread;
    Pipe closed;
    closed.read_end.reset();
    REQUIRE(::fcntl(unread.write_end.get(), F_SETFL, O_NONBLOCK) == 0);
    while (::write(unread.write_end.get(), ".", 1) == 1) {
    }
    REQUIRE(::fcntl(unread.write_end.get(), F_SETFL, 0) == 0);
    const UniqueFd full(::open("/dev/full", O_WRONLY));
    for (const int fd : {unread.write_end.get(), closed.write_end.get(), full.get()}) {
        const int status = status_of_hidden_test("hidden: an invariant that does not hold", fd);
        CHECK(WTERMSIG(status) == SIGABRT);
    }
}
