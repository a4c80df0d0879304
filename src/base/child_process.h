// SPDX-License-Identifier: Apache-2.0
// Runs a helper program of another package: no shell, nothing inherited but the directory, standard
// input empty, and limits on all that a program may take when a hostile file drives it mad.
//
// The caller waits. When this process dies, the child is killed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmvm {

struct HelperProgram {
    const char* name;     // looked for in PATH
    const char* package;  // of Debian, for the error when it is not there
};

// Its path; the error names it and the package to install.
Result<std::string> find_program(const HelperProgram& program);

struct ChildLimits {
    std::chrono::seconds time;
    std::uint64_t memory_bytes;  // of its address space
    std::uint64_t file_bytes;    // of a file that it writes
    std::size_t output_bytes;    // of its standard output, and of its standard error
};

// What goes on meanwhile; all of it may be left out.
struct ChildWatch {
    std::function<void(std::string_view)> on_output = {};  // each part of standard output
    int stop_fd = -1;  // readable: the child is killed, and the result is an error
};

struct ChildResult {
    int exit_status = 0;
    std::string output;  // empty when there is an on_output
    std::string errors;

    // What it complained of, to end a sentence of ours: the first line on its standard error,
    // without control characters and without the program's own name, and not too long.
    std::string complaint(std::string_view program) const;
};

// An error, which begins with the program's name: it is not installed, it came to a limit, it was
// ended by a signal. Any exit status is a result.
Result<ChildResult> run_child(const HelperProgram& program,
                              const std::vector<std::string>& arguments, const ChildLimits& limits,
                              const ChildWatch& watch = {});

}  // namespace fmvm
