// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/callers.h"

#include <catch2/catch.hpp>

#include "support/backup_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

struct Bench {
    std::shared_ptr<PrimarySide> call(const std::string& address) {
        auto side = new_side(events, address);
        callers.add(std::make_unique<BenchChannel>(side, now));
        return side;
    }
    std::string next() {
        const auto channel = callers.next();
        return channel ? channel->peer() : "";
    }

    std::vector<std::string> events;
    BackupHost::TimePoint now{};
    Callers callers;
};

}  // namespace

TEST_CASE("callers: of each address only a few may wait", "[backup]") {
    Bench bench;
    for (std::size_t i = 0; i < Callers::of_one_address_max; ++i)
        CHECK(bench.call("a")->refusal == "");
    CHECK(bench.call("a")->refusal != "");
    CHECK(bench.call("b")->refusal == "");
}

TEST_CASE("callers: no more wait than there is room for, however many addresses they have",
          "[backup]") {
    Bench bench;
    for (std::size_t i = 0; i < Callers::callers_max; ++i)
        CHECK(bench.call(std::to_string(i))->refusal == "");
    const auto one_more = bench.call("x");
    CHECK(one_more->refusal != "");
    CHECK(one_more->closed);
}

TEST_CASE("callers: addresses take turns", "[backup]") {
    Bench bench;
    for (const char* address : {"a", "a", "b"})
        bench.call(address);
    CHECK(bench.next() == "a:1");
    CHECK(bench.next() == "b:1");
    CHECK(bench.next() == "a:1");
    CHECK(bench.next() == "");
}

TEST_CASE("callers: those who wait are told when nobody is greeted any more", "[backup]") {
    Bench bench;
    const auto side = bench.call("a");
    bench.callers.refuse_all("another primary is connected");
    CHECK(side->refusal == "another primary is connected");
    CHECK(bench.next() == "");
}
