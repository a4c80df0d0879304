// SPDX-License-Identifier: Apache-2.0
#include "replay/apply/disk_flush.h"

#include <catch2/catch.hpp>

#include "support/death.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace std::chrono_literals;

using State = DiskFlush::State;

namespace {

DiskFlush::TimePoint at(std::chrono::milliseconds time) {
    return DiskFlush::TimePoint(1000s) + time;
}

// A disk that is flushing, and was asked for another flush meanwhile if `again`.
DiskFlush flushing(bool again = false) {
    DiskFlush flush;
    CHECK(flush.ask(at(0ms)));
    if (again) CHECK_FALSE(flush.ask(at(1ms)));
    return flush;
}

}  // namespace

TEST_CASE("disk flush: a disk is clean until it is asked, and again when the flush is done") {
    DiskFlush flush;
    CHECK(flush.state() == State::clean);
    CHECK(flush.ask(at(0ms)));
    CHECK(flush.state() == State::flushing);
    CHECK_FALSE(flush.done(true, at(5ms)));
    CHECK(flush.state() == State::clean);
    CHECK_FALSE(flush.in_flight());
}

TEST_CASE("disk flush: a flush that is asked for during another follows it, once") {
    DiskFlush flush = flushing(true);
    CHECK_FALSE(flush.ask(at(2ms)));
    CHECK(flush.state() == State::dirty_again);
    CHECK(flush.done(true, at(5ms)));
    CHECK(flush.state() == State::flushing);
    CHECK_FALSE(flush.is_overdue(at(14ms), 10ms));  // the second has its own time
    CHECK(flush.is_overdue(at(15ms), 10ms));
    CHECK_FALSE(flush.done(true, at(20ms)));
    CHECK(flush.state() == State::clean);
}

TEST_CASE("disk flush: a flush that fails is the last") {
    DiskFlush flush = flushing(GENERATE(true, false));
    CHECK_FALSE(flush.done(false, at(5ms)));
    CHECK(flush.state() == State::failed);
    CHECK_FALSE(flush.ask(at(6ms)));
    CHECK_FALSE(flush.in_flight());
}

TEST_CASE("disk flush: a flush that hangs is still in flight, and none follows it") {
    DiskFlush flush = flushing(GENERATE(true, false));
    flush.give_up();
    flush.give_up();
    CHECK(flush.state() == State::hung);
    CHECK(flush.in_flight());
    CHECK_FALSE(flush.ask(at(20ms)));
    const bool ok = GENERATE(true, false);
    CHECK_FALSE(flush.done(ok, at(30ms)));
    CHECK(flush.state() == (ok ? State::hung : State::failed));
    CHECK_FALSE(flush.in_flight());
}

TEST_CASE("disk flush: without a flush in flight there is nothing to give up, and none is done") {
    DiskFlush flush;
    flush.give_up();
    CHECK(flush.state() == State::clean);
    CHECK_FALSE(flush.is_overdue(at(1h), 10ms));
    CHECK(test::aborts([&flush] { flush.done(true, at(1ms)); }));
}
