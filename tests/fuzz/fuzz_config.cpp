// SPDX-License-Identifier: Apache-2.0
// The configuration file: any text gives options or one line of complaint that names the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/check.h"
#include "cli/options/config_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fmvm;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    Result<cli::GivenOptions> given = cli::parse_config(text, "fuzz.json");
    if (!given.ok()) {
        FMVM_CHECK(given.error().message().starts_with("fuzz.json, line "));
        return 0;
    }
    // Names that are not there, so that what complete() asks the file system is the same each time.
    if (given->console) given->console->path.insert(0, "/nonexistent/");
    const Result<node::MachineOptions> options = cli::complete(std::move(given).value(), 4 * gib);
    if (options.ok()) FMVM_CHECK(options.value().cpus >= 1 && !options.value().kernel.empty());
    return 0;
}
