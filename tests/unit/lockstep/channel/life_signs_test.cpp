// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/life_signs.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

using TimePoint = LifeSigns::TimePoint;

// Remembers what it is told.
class RememberingHalf : public PermitHalf {
  public:
    std::chrono::microseconds sending(std::uint64_t number, bool, BootTime) override {
        sent.push_back(number);
        return wants;
    }
    bool takes(std::chrono::microseconds promise, BootTime) override {
        asked_for = promise;
        return open;
    }
    void echoed(std::uint64_t number, BootTime) override { echoes.push_back(number); }
    int wanted() const override { return -1; }

    bool open = true;
    std::chrono::microseconds wants{0};
    std::chrono::microseconds asked_for{0};
    std::vector<std::uint64_t> sent;
    std::vector<std::uint64_t> echoes;
};

const TimePoint signs_begin{1000s};

struct End {
    explicit End(Heartbeat::Role role) : signs(Heartbeat(20ms, role, signs_begin), half) {}
    Sign send(bool asks = false) { return signs.send(asks, work, signs_begin, 0s); }
    std::string receive(const Sign& sign) {
        const Result<void> received = signs.receive(sign, 0s);
        return received.ok() ? "" : received.error().message();
    }
    RememberingHalf half;
    LifeSigns signs;
    WorkDone work;
};

}  // namespace

TEST_CASE("signs of life are numbered, and each carries the newest echo", "[life]") {
    End primary(Heartbeat::Role::answers), backup(Heartbeat::Role::leads);
    const Sign first = primary.send(), second = primary.send();
    CHECK(first.number == 1);
    CHECK(second.number == 2);
    CHECK(primary.half.sent == std::vector<std::uint64_t>{1, 2});
    CHECK(backup.send().echo == 0);
    CHECK(backup.receive(first) == "");
    CHECK(backup.receive(second) == "");
    CHECK(backup.send().echo == 2);
}

TEST_CASE("what the gate does not take is not echoed", "[life]") {
    End primary(Heartbeat::Role::answers), backup(Heartbeat::Role::leads);
    CHECK(backup.receive(primary.send()) == "");
    backup.half.open = false;
    CHECK(backup.receive(primary.send()) == "");
    CHECK(backup.send().echo == 1);
}

TEST_CASE("a sign of life says for how long a promise is wanted", "[life]") {
    End primary(Heartbeat::Role::answers), backup(Heartbeat::Role::leads);
    primary.half.wants = 70ms;
    CHECK(backup.receive(primary.send()) == "");
    CHECK(backup.half.asked_for == 70ms);
}

TEST_CASE("an echo counts once", "[life]") {
    End primary(Heartbeat::Role::answers), backup(Heartbeat::Role::leads);
    CHECK(primary.receive(backup.send()) == "");
    CHECK(primary.half.echoes.empty());
    CHECK(backup.receive(primary.send()) == "");
    CHECK(primary.receive(backup.send()) == "");
    CHECK(primary.receive(backup.send()) == "");
    CHECK(primary.half.echoes == std::vector<std::uint64_t>{1});
}

TEST_CASE("a sign of life that is not true is refused", "[life]") {
    End end(Heartbeat::Role::answers);
    end.send();
    REQUIRE(end.receive({.number = 1, .echo = 1, .work = {5, 7}}) == "");
    CHECK(end.receive({.number = 3, .echo = 1, .work = {5, 7}}) == "a sign of life out of turn");
    CHECK(end.receive({.number = 1, .echo = 1, .work = {5, 7}}) == "a sign of life out of turn");
    CHECK(end.receive({.number = 2, .echo = 2, .work = {5, 7}}) ==
          "it echoes a sign of life that was never sent");
    CHECK(end.receive({.number = 2, .echo = 0, .work = {5, 7}}) ==
          "a sign of life takes back what the one before said");
    CHECK(end.receive({.number = 2, .echo = 1, .work = {4, 7}}) ==
          "a sign of life takes back what the one before said");
    CHECK(end.receive({.number = 2, .echo = 1, .work = {5, 6}}) ==
          "a sign of life takes back what the one before said");
    CHECK(end.receive({.number = 2, .echo = 1, .work = {6, 7}}) == "");
}

TEST_CASE("the side that leads asks once an interval, the other one when that is late", "[life]") {
    End primary(Heartbeat::Role::answers), backup(Heartbeat::Role::leads);
    CHECK_FALSE(backup.signs.is_due(signs_begin + 10ms));
    CHECK(backup.signs.is_due(signs_begin + 20ms));
    CHECK_FALSE(primary.signs.is_due(signs_begin + 20ms));
    CHECK(primary.signs.is_due(signs_begin + 25ms));
}

TEST_CASE("a peer that floods the lifeline is refused", "[life]") {
    End end(Heartbeat::Role::answers);
    std::uint64_t number = 0;
    while (number < LifeSigns::signs_a_second_max) {
        if (!end.signs.receive({.number = ++number}, 100ms).ok()) FAIL("refused at " << number);
    }
    CHECK_FALSE(end.signs.receive({.number = number + 1}, 900ms).ok());
    End patient(Heartbeat::Role::answers);
    for (number = 1; number <= 2 * LifeSigns::signs_a_second_max; ++number) {
        if (!patient.signs.receive({.number = number}, number * 100us).ok())
            FAIL("refused at " << number);
    }
}
