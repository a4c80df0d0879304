// SPDX-License-Identifier: Apache-2.0
#include "cli/report/report_error.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::cli;

TEST_CASE("the exit status tells whose fault an error is", "[cli]") {
    CHECK(report_error(Error("a test: this host's")) == to_int(ExitStatus::failure));
    CHECK(report_error(Error("a test: the input's", Error::Kind::input)) ==
          to_int(ExitStatus::usage));
    CHECK(report_bad_usage(Error("a test: of usage")) == to_int(ExitStatus::usage));
}
