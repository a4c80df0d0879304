// SPDX-License-Identifier: Apache-2.0
#include "lockstep/sentinel/sentinel.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/hidden_test.h"
#include "support/pipe.h"
#include "support/robust_mutexes.h"
#include "support/told_of_death.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

std::filesystem::path place_of(pid_t pid) {
    return "/proc/" + std::to_string(pid);
}

std::string text_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

// Until it has become what it is.
void wait_until_named(const Sentinel& sentinel) {
    const auto name = place_of(sentinel.pid()) / "comm";
    REQUIRE(eventually([&] { return text_of(name) == "fmvm-sentinel\n"; }));
}

bool has_ended(Sentinel& sentinel) {
    return becomes_readable(sentinel.report_fd()) && sentinel.next_report().has_ended;
}

bool exists(pid_t pid) {
    return ::kill(pid, 0) == 0;
}

std::uint64_t ignored_signals(pid_t pid) {
    const std::string status = text_of(place_of(pid) / "status");
    const std::string field = "SigIgn:\t";
    return std::stoull(status.substr(status.find(field) + field.size(), 16), nullptr, 16);
}

// A process that has a sentinel with this word, and then waits to be killed.
pid_t start_process_with_sentinel(const LastWord& word) {
    const Pipe ready;
    const pid_t pid = ::fork();
    if (pid == 0) {
        const std::unique_ptr<Sentinel> sentinel = Sentinel::start().value();
        FMVM_CHECK(sentinel->say_when_dead(word));
        FMVM_CHECK(::write(ready.write_end.get(), "r", 1) == 1);
        while (true)
            ::pause();
    }
    REQUIRE(pid > 0);
    REQUIRE(ready.read_some(1) == "r");
    return pid;
}

void kill(pid_t pid) {
    REQUIRE(::kill(pid, SIGKILL) == 0);
    REQUIRE(::waitpid(pid, nullptr, 0) == pid);
}

// Orphans below this process become its children. Waits for one, which is a sentinel.
void adopt_orphans() {
    REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
}
bool orphan_ends_well() {
    int status = -1;
    return ::waitpid(-1, &status, 0) > 0 && status == 0;
}

}  // namespace

TEST_CASE("hidden: a sentinel has little", "[.]") {
    Pipe pipe;
    const std::unique_ptr<Sentinel> sentinel = Sentinel::start().value();
    wait_until_named(*sentinel);
    const auto place = place_of(sentinel->pid());
    REQUIRE(
        text_of(place / "cmdline").starts_with("fmvm-sentinel of " + std::to_string(::getpid())));
    pipe.write_end.reset();
    REQUIRE(pipe.read_some(1).empty());
    REQUIRE_FALSE(is_readable(sentinel->report_fd(), std::chrono::milliseconds(0)));
    for (const char* const standard : {"0", "1", "2"})
        REQUIRE(std::filesystem::read_symlink(place / "fd" / standard) == "/dev/null");
    REQUIRE(std::filesystem::read_symlink(place / "cwd") == "/");
}

TEST_CASE("a sentinel holds no descriptor of its process, and says what it is", "[sentinel]") {
    passes_where_followed("hidden: a sentinel has little");
}

TEST_CASE("hidden: a sentinel is asked to end", "[.]") {
    const std::unique_ptr<Sentinel> sentinel = Sentinel::start().value();
    wait_until_named(*sentinel);
    REQUIRE(::getsid(sentinel->pid()) == sentinel->pid());
    const std::uint64_t ignored = ignored_signals(sentinel->pid());
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE, SIGUSR1})
        REQUIRE((ignored >> (number - 1) & 1) == 1);
}

TEST_CASE("a sentinel ignores the signals that end its process", "[sentinel]") {
    passes_where_followed("hidden: a sentinel is asked to end");
}

TEST_CASE("hidden: a process ends with its sentinel", "[.]") {
    const DeathListener backup;
    for (const bool is_stopped : {false, true}) {
        std::unique_ptr<Sentinel> sentinel = Sentinel::start().value();
        const pid_t pid = sentinel->pid();
        REQUIRE(sentinel->say_when_dead(backup.word("hello", "dead")));
        const UniqueFd connection = backup.accept();
        REQUIRE(said(connection, 5) == "hello");
        if (is_stopped) REQUIRE(::kill(pid, SIGSTOP) == 0);
        sentinel.reset();
        REQUIRE_FALSE(exists(pid));
        REQUIRE(all_said(connection) == "");
    }
}

TEST_CASE("a sentinel says nothing of an orderly end, and is gone with it", "[sentinel]") {
    passes_where_followed("hidden: a process ends with its sentinel");
}

TEST_CASE("hidden: a sentinel is killed", "[.]") {
    const std::unique_ptr<Sentinel> sentinel = Sentinel::start().value();
    REQUIRE(::kill(sentinel->pid(), SIGKILL) == 0);
    REQUIRE(has_ended(*sentinel));
    REQUIRE_FALSE(sentinel->say_when_dead({}));
}

TEST_CASE("a process learns that its sentinel has ended", "[sentinel]") {
    passes_where_followed("hidden: a sentinel is killed");
}

TEST_CASE("hidden: a process with a sentinel is killed", "[.]") {
    adopt_orphans();
    const DeathListener backup;
    const pid_t process = start_process_with_sentinel(backup.word("hello", "dead"));
    std::optional<UniqueFd> connection(backup.accept());
    REQUIRE(said(*connection, 5) == "hello");
    kill(process);
    REQUIRE(said(*connection, 4) == "dead");
    connection.reset();
    REQUIRE(orphan_ends_well());
}

TEST_CASE("a sentinel tells of a killed process, and then ends", "[sentinel]") {
    passes_where_followed("hidden: a process with a sentinel is killed");
}

TEST_CASE("hidden: a process is killed with nobody to be told", "[.]") {
    adopt_orphans();
    kill(start_process_with_sentinel({}));
    REQUIRE(orphan_ends_well());
}

TEST_CASE("a sentinel with nobody to tell ends when its process has died", "[sentinel]") {
    passes_where_followed("hidden: a process is killed with nobody to be told");
}
