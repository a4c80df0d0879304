// SPDX-License-Identifier: Apache-2.0
// The words of the options that describe a machine, which several commands share, and how they
// become options. CLI11 sorts words into options; what the words mean is decided by option_values
// and given_options, as for the configuration file.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/options/given_options.h"

namespace fmvm::cli {

// The words behind each option, as often as they stood.
struct RunArguments {
    std::vector<std::string> restore, guest_time, control, kernel, initrd, cmdline, memory, cpus,
        cpu, disk, console, config, quirks, record;
    int verbosity = 0;
    bool force_stale = false;
};

// An option with one value, which may stand several times.
void add_option(CLI::App& app, const char* name, std::vector<std::string>& target, const char* type,
                const char* help);
// Disks, console, verbosity.
void add_device_options(CLI::App& app, RunArguments& words);
// Those and kernel, snapshot, memory, CPUs, configuration file.
void add_machine_options(CLI::App& app, RunArguments& words);

// --force-stale and --record, of those commands that begin to run a guest on its disks.
void add_start_options(CLI::App& app, RunArguments& words);

// The one word of an option that may stand once.
Result<const std::string*> single(const char* option, const std::vector<std::string>& words);

template <typename T>
Result<void> apply(std::optional<T>& target, const char* option,
                   const std::vector<std::string>& words, Result<T> (*parse)(std::string_view)) {
    const std::string* const word = FMVM_TRY(single(option, words));
    if (!word) return {};
    Result<T> value = parse(*word);
    if (!value.ok()) return make_error("{}: {}", option, value.error().message());
    target = std::move(value).value();
    return {};
}

// The machine that the words, and the configuration file that they name, describe.
Result<node::MachineOptions> machine_options(const RunArguments& words);
// Of a machine whose shape somebody else decides: disks, console, verbosity.
Result<node::MachineOptions> device_options(const RunArguments& words);

}  // namespace fmvm::cli
