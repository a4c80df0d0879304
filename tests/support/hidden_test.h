// SPDX-License-Identifier: Apache-2.0
// Tests whose process ends in the middle. Such a test is hidden ("[.]"), and another one runs it in
// a process of its own, which has no threads and has said nothing yet.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "base/check.h"
#include "support/pipe.h"

namespace fmvm::test {

// Its status, as of waitpid(2). errors: its standard error.
inline int status_of_hidden_test(const char* name, int errors) {
    const pid_t child = ::fork();
    if (child == 0) {
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::dup2(errors, STDERR_FILENO);
        ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
        // It would look for leaks by another process, which a test may have made impossible.
        ::setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        ::execl("/proc/self/exe", "unit_tests", name, nullptr);
        ::_exit(127);
    }
    int status = 0;
    FMVM_CHECK(::waitpid(child, &status, 0) == child);
    return status;
}

struct EndedTest {
    explicit EndedTest(const char* name) {
        Pipe errors;
        status = status_of_hidden_test(name, errors.write_end.get());
        errors.write_end.reset();
        for (std::string part = errors.read_some(4096); !part.empty();
             part = errors.read_some(4096))
            said += part;
    }
    int status = 0;
    std::string said;  // no more than a pipe takes
};

inline void passes(const char* hidden_test) {
    const EndedTest ended(hidden_test);
    INFO(ended.said);
    CHECK(ended.status == 0);
}

}  // namespace fmvm::test
