// SPDX-License-Identifier: Apache-2.0
// first_byte RUNS COMMAND...: starts a command again and again and prints, one number a line, the
// microseconds from just before exec to the first byte on its standard output. For a guest that
// prints at once this is an upper bound of "exec to the first guest instruction".
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

using Clock = std::chrono::steady_clock;

// -1 when the command ended without a byte.
long microseconds_to_first_byte(char** command) {
    int ends[2];
    if (::pipe(ends) != 0) return -1;
    const Clock::time_point start = Clock::now();
    const pid_t child = ::vfork();
    if (child == 0) {
        ::dup2(ends[1], STDOUT_FILENO);
        ::close(ends[0]);
        ::close(ends[1]);
        ::execvp(command[0], command);
        ::_exit(127);
    }
    ::close(ends[1]);
    char byte = 0;
    const bool came = child > 0 && ::read(ends[0], &byte, 1) == 1;
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
    char rest[4096];
    while (::read(ends[0], rest, sizeof rest) > 0) {
    }
    ::close(ends[0]);
    if (child > 0) ::waitpid(child, nullptr, 0);
    return came ? static_cast<long>(took.count()) : -1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: first_byte RUNS COMMAND...\n");
        return 2;
    }
    const long runs = std::strtol(argv[1], nullptr, 10);
    for (long i = 0; i < runs; ++i) {
        const long took = microseconds_to_first_byte(argv + 2);
        if (took < 0) {
            std::fprintf(stderr, "first_byte: %s printed nothing\n", argv[2]);
            return 1;
        }
        std::printf("%ld\n", took);
    }
    return 0;
}
