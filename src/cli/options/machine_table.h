// SPDX-License-Identifier: Apache-2.0
// The options that describe a machine: on the command lines of several commands, and in the
// configuration file.
#pragma once

#include <span>

#include "base/json.h"
#include "cli/options/given_options.h"
#include "cli/options/option.h"

namespace fmvm::cli {

struct MachineOption {
    // What the option is about, which decides who may give it.
    enum class Part {
        guest,   // its kernel, memory, CPUs: a snapshot brings them along
        device,  // all that a backup's machine is told; the primary decides the rest
        start,   // how it begins
    };

    Option<GivenOptions> option;
    Part part;
    const char* key;  // in the configuration file; "": not there
    Result<void> (*read)(GivenOptions& given, const JsonValue& value);  // errors are located
    bool (*is_given)(const GivenOptions& given);
    // Takes the value of `theirs`, or none.
    void (*replace)(GivenOptions& ours, GivenOptions& theirs);
    // Takes the given value into the finished options, if there is one.
    void (*finish)(GivenOptions& given, node::MachineOptions& options);

    bool in_file() const { return *key != '\0'; }
};

// In the order of --help.
std::span<const MachineOption> machine_table();
// The same, for those options of which --help tells last: how a guest begins on its disks.
std::span<const MachineOption> disk_start_table();

// --config FILE: where other options of the table may come from.
inline constexpr const char* config_flag = "--config";

}  // namespace fmvm::cli
