// SPDX-License-Identifier: Apache-2.0
#include "base/trouble.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace std::chrono_literals;

namespace {

using TimePoint = Trouble::TimePoint;
using Texts = std::vector<std::string>;

TimePoint at(Trouble::Duration time) {
    return TimePoint(1000s) + time;
}

// What is told of a trouble that is seen every half second of this span of time.
Texts told_between(Trouble& trouble, const std::string& reason, Trouble::Duration from,
                   Trouble::Duration to) {
    Texts told;
    for (Trouble::Duration time = from; time < to; time += 500ms) {
        if (const auto text = trouble.is(reason, at(time))) told.push_back(*text);
    }
    return told;
}

}  // namespace

TEST_CASE(
    "trouble: what lasts is told at once, after 1, 10 and 60 minutes, and each hour from "
    "then on",
    "[trouble]") {
    Trouble trouble;
    CHECK(told_between(trouble, "it is gone", 0s, 3h + 1s) ==
          Texts{"it is gone", "it is gone (first seen 60 s ago)",
                "it is gone (first seen 10 min ago)", "it is gone (first seen 60 min ago)",
                "it is gone (first seen 2 h ago)", "it is gone (first seen 3 h ago)"});
}

TEST_CASE("trouble: its end is told with how long it lasted, if its beginning was", "[trouble]") {
    Trouble trouble(500ms);
    CHECK_FALSE(trouble.is("it is slow", at(0s)));
    CHECK_FALSE(trouble.is("it is slow", at(499ms)));
    CHECK_FALSE(trouble.over(at(499ms)));
    CHECK_FALSE(trouble.lasts());
    CHECK_FALSE(trouble.is("it is slow", at(5s)));
    CHECK(trouble.is("it is slow", at(5500ms)) == "it is slow");
    CHECK(trouble.lasts());
    CHECK(trouble.over(at(29s)) == "24 s");
    CHECK_FALSE(trouble.over(at(30s)));
}

TEST_CASE("trouble: another reason is told at once, and a repetition has the newest one",
          "[trouble]") {
    Trouble trouble;
    CHECK(trouble.is("timed out", at(0s)) == "timed out");
    CHECK(trouble.is("refused", at(1s)) == "refused");
    CHECK_FALSE(trouble.is("refused", at(2s)));
    CHECK_FALSE(trouble.is("timed out", at(3s)));
    CHECK_FALSE(trouble.is("refused", at(4s)));
    CHECK(trouble.look(at(60s)) == "refused (first seen 60 s ago)");
    CHECK(trouble.is("timed out", at(61s)) == "timed out");  // once in this interval as well
    CHECK_FALSE(trouble.is("timed out", at(62s)));
}

TEST_CASE("trouble: a reason that is always another one does not fill the log", "[trouble]") {
    Trouble trouble;
    std::size_t told = 0;
    for (int second = 0; second < 3600; ++second) {
        if (trouble.is("port " + std::to_string(second), at(std::chrono::seconds(second)))) ++told;
    }
    CHECK(told == 3 * Trouble::tellings_max);
    CHECK(trouble.is("port 1", at(3600s)) == "port 1 (first seen 60 min ago)");
}

TEST_CASE("trouble: one that comes and goes is one trouble, and does not fill the log",
          "[trouble]") {
    Trouble trouble;
    std::size_t begun = 0, ended = 0;
    for (int second = 0; second < 600; second += 2) {
        if (trouble.is("it is gone", at(std::chrono::seconds(second)))) ++begun;
        if (trouble.over(at(std::chrono::seconds(second + 1)))) ++ended;
    }
    CHECK(begun == 2 * Trouble::tellings_max);
    CHECK(ended == begun);
    // After some quiet it is a new one.
    CHECK(trouble.is("it is gone", at(700s)) == "it is gone");
}

TEST_CASE("trouble: what never lasted long enough to be told leaves no trace", "[trouble]") {
    Trouble trouble(500ms);
    for (int second = 0; second < 100; ++second) {
        CHECK_FALSE(trouble.is("it is slow", at(std::chrono::seconds(second))));
        CHECK_FALSE(trouble.over(at(std::chrono::seconds(second) + 100ms)));
    }
    trouble.is("it is slow", at(100s));
    CHECK(trouble.look(at(101s)) == "it is slow");
}

TEST_CASE("trouble: it says when it has to be looked at, and never without need", "[trouble]") {
    Trouble trouble(500ms);
    CHECK(trouble.due() == TimePoint::max());
    trouble.is("it is gone", at(0s));
    CHECK(trouble.due() == at(500ms));
    CHECK(trouble.look(at(500ms)) == "it is gone");
    for (const auto time : {60s, 600s, 3600s, 7200s}) {
        CHECK(trouble.due() == at(time));
        CHECK(trouble.look(at(time)));
    }
    trouble.over(at(7201s));
    CHECK(trouble.due() == TimePoint::max());
    CHECK_FALSE(trouble.look(at(9999s)));
}

TEST_CASE("trouble: one that is looked at late is told once", "[trouble]") {
    Trouble trouble;
    trouble.is("it is gone", at(0s));
    CHECK(trouble.look(at(5h + 1s)) == "it is gone (first seen 5 h ago)");
    CHECK_FALSE(trouble.look(at(5h + 2s)));
    CHECK(trouble.due() == at(6h));
}

TEST_CASE("rough words: a length of time for people", "[trouble]") {
    CHECK(rough_words(420ms) == "0.4 s");
    CHECK(rough_words(59s) == "59 s");
    CHECK(rough_words(10min) == "10 min");
    CHECK(rough_words(90min) == "90 min");
    CHECK(rough_words(49h) == "49 h");
}
