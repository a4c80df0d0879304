// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <catch2/catch.hpp>
#include <memory>

#include "support/death.h"

using namespace fmvm;
using fmvm::test::aborts;

namespace {

Result<int> half(int value) {
    if (value % 2 != 0) return make_error("{} is odd", value);
    return value / 2;
}

Result<int> quarter(int value) {
    const int once = FMVM_TRY(half(value));
    return FMVM_TRY(half(once));
}

Result<void> check_even(int value) {
    FMVM_TRY(half(value));
    return {};
}

}  // namespace

TEST_CASE("result: a value or an error", "[base]") {
    CHECK(half(4).ok());
    CHECK(half(4).value() == 2);
    CHECK_FALSE(half(3).ok());
    CHECK(half(3).error().message() == "3 is odd");
    CHECK_FALSE(static_cast<bool>(half(3)));
}

TEST_CASE("result: FMVM_TRY takes the value or returns the first error", "[base]") {
    CHECK(quarter(8).value() == 2);
    CHECK(quarter(6).error().message() == "3 is odd");
    CHECK(quarter(5).error().message() == "5 is odd");
    CHECK(check_even(2).ok());
    CHECK(check_even(1).error().message() == "1 is odd");
}

TEST_CASE("result: holds what can only be moved", "[base]") {
    Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
    CHECK(**result == 7);
    const std::unique_ptr<int> taken = std::move(result).value();
    CHECK(*taken == 7);
}

TEST_CASE("result: errno becomes words", "[base]") {
    CHECK(errno_error(ENOENT, "disk x").message() == "disk x: No such file or directory");
}

TEST_CASE("result: taking what is not there aborts", "[base]") {
    CHECK(aborts([] { static_cast<void>(half(3).value()); }));
    CHECK(aborts([] { static_cast<void>(half(4).error()); }));
    CHECK(aborts([] { check_even(1).value(); }));
    CHECK_FALSE(aborts([] { check_even(2).value(); }));
}

TEST_CASE("an error says whose fault it is, also behind what it is about", "[base]") {
    CHECK(half(3).error().kind() == Error::Kind::host);
    const Result<int> blamed = blame_input(half(3));
    CHECK(blamed.error().kind() == Error::Kind::input);
    CHECK(blamed.error().message() == "3 is odd");
    const Error told = about("disk x", blamed).error();
    CHECK(told.kind() == Error::Kind::input);
    CHECK(told.message() == "disk x: 3 is odd");
    CHECK(blame_input(check_even(2)).ok());
    CHECK(blame_input(half(4)).value() == 2);
    CHECK(about("disk x", half(4)).value() == 2);
}

TEST_CASE("an error's kind passes through FMVM_TRY", "[base]") {
    const auto blamed = [](int value) -> Result<void> {
        FMVM_TRY(blame_input(half(value)));
        return {};
    };
    CHECK(blamed(3).error().kind() == Error::Kind::input);
}
