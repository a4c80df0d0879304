// SPDX-License-Identifier: Apache-2.0
#include "base/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>

#include "base/unique_fd.h"
#include "base/units.h"
#include "support/temp_directory.h"

using namespace fmvm;
using namespace std::chrono_literals;

namespace {

constexpr HelperProgram shell{"sh", "dash"};
constexpr ChildLimits plenty{60s, gib, mib, 64 * kib};

Result<ChildResult> run_shell(const std::string& script, ChildLimits limits = plenty,
                              const ChildWatch& watch = {}) {
    return run_child(shell, {"-c", script}, limits, watch);
}

std::string output_of(const std::string& script) {
    return run_shell(script).value().output;
}

std::string error_of(const std::string& script, ChildLimits limits) {
    return run_shell(script, limits).error().message();
}

}  // namespace

TEST_CASE("child: output, errors and exit status", "[base]") {
    const ChildResult result = run_shell("echo out; echo err >&2; exit 3").value();
    CHECK(result.exit_status == 3);
    CHECK(result.output == "out\n");
    CHECK(result.errors == "err\n");
}

TEST_CASE("child: words reach the program as they are", "[base]") {
    const ChildResult result =
        run_child(shell, {"-c", "printf '%s|' \"$@\"", "sh", "a b", "$HOME;`id`", "", "*"}, plenty)
            .value();
    CHECK(result.output == "a b|$HOME;`id`||*|");
}

TEST_CASE("child: nothing is inherited but the directory", "[base]") {
    const UniqueFd leak(::open("/dev/null", O_RDONLY));  // without O_CLOEXEC
    REQUIRE(leak);
    ::setenv("FMVM_TEST_SECRET", "1", 1);
    CHECK(output_of("cat") == "");  // standard input
    CHECK(output_of("echo \"$FMVM_TEST_SECRET\"") == "\n");
    CHECK(output_of("[ -e /proc/self/fd/" + std::to_string(leak.get()) + " ] || echo closed") ==
          "closed\n");
    ::unsetenv("FMVM_TEST_SECRET");
    sigset_t blocked, before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const std::string mask = output_of("grep SigBlk /proc/self/status");
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    CHECK(mask == "SigBlk:\t0000000000000000\n");
}

TEST_CASE("child: limits end it", "[base]") {
    const test::TempDirectory directory;
    const std::string file = directory.file("out");
    ChildLimits limits = plenty;

    limits.time = 1s;
    CHECK(error_of("sleep 60", limits) == "sh took longer than 1 s, and was ended");
    // One that closes everything, and goes on, as well.
    CHECK(error_of("exec >&- 2>&-; exec sleep 60", limits) ==
          "sh took longer than 1 s, and was ended");

    limits = plenty;
    limits.output_bytes = 1000;
    CHECK(error_of("while :; do echo more; done", limits) ==
          "sh printed more than 1000 bytes, and was ended");
    CHECK(error_of("while :; do echo more >&2; done", limits) ==
          "sh printed more than 1000 bytes, and was ended");

    limits = plenty;
    limits.file_bytes = 4096;
    CHECK(error_of("while :; do echo more; done > " + file, limits) ==
          "sh wrote a file of more than 4096 bytes, and was ended");
    CHECK(std::filesystem::file_size(file) == 4096);

    limits = plenty;
    limits.memory_bytes = 64 * mib;
    CHECK(run_shell("dd if=/dev/zero of=/dev/null bs=128M count=1", limits).value().exit_status !=
          0);
    CHECK(run_shell("dd if=/dev/zero of=/dev/null bs=128M count=1").value().exit_status == 0);
}

TEST_CASE("child: one that is ended from outside says so", "[base]") {
    CHECK(error_of("kill -SEGV $$", plenty) == "sh was ended by signal 11 (Segmentation fault)");
}

TEST_CASE("child: a readable descriptor stops it", "[base]") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd stop(ends[0]), stopper(ends[1]);
    const ChildWatch watch{[&](std::string_view text) {
                               CHECK(text == "begun\n");
                               CHECK(::write(stopper.get(), "x", 1) == 1);
                           },
                           stop.get()};
    const Result<ChildResult> result = run_shell("echo begun; exec sleep 60", plenty, watch);
    CHECK(result.error().message() == "sh was stopped");
}

TEST_CASE("child: what is missing is named with its package", "[base]") {
    const HelperProgram absent{"no-such-program", "no-such-package"};
    CHECK(run_child(absent, {}, plenty).error().message() ==
          "no-such-program is missing; install Debian's package no-such-package (apt-get install "
          "no-such-package)");
}

TEST_CASE("child: a program is not taken from a relative directory of PATH", "[base]") {
    const std::string before = ::getenv("PATH");
    const test::TempDirectory directory;
    const std::string file = directory.write("evil", "#!/bin/sh\n");
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    const std::filesystem::path stood = std::filesystem::current_path();
    std::filesystem::current_path(directory.path());
    ::setenv("PATH", "::.:/nowhere", 1);
    CHECK_FALSE(find_program({"evil", "x"}).ok());
    ::setenv("PATH", directory.path().c_str(), 1);
    CHECK(find_program({"evil", "x"}).value() == file);
    std::filesystem::current_path(stood);
    ::setenv("PATH", before.c_str(), 1);
}

TEST_CASE("child: its complaint is one line", "[base]") {
    ChildResult result;
    result.errors = "\nqemu-img: Could not open '\x1b[2Jx'\nmore\n";
    CHECK(result.complaint("qemu-img") == "Could not open '?[2Jx'");
    result.errors = std::string(100'000, 'x');
    CHECK(result.complaint("qemu-img").size() == 300);
    result.errors = "";
    result.exit_status = 7;
    CHECK(result.complaint("qemu-img") == "without a word, with exit status 7");
}
