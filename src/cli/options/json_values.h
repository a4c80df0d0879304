// SPDX-License-Identifier: Apache-2.0
// The values of options as a configuration file holds them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "node/config/machine_options.h"

namespace fmvm::cli {

// These errors say what is expected; located() adds where it was.
Result<std::string> string_of(const JsonValue& value);
Result<bool> boolean_of(const JsonValue& value);
Result<unsigned> count_of(const JsonValue& value);
// A size as on the command line, or a whole number of MiB. Bytes.
Result<std::uint64_t> size_of(const JsonValue& value);

// Puts the place and the key of a value before an error about it.
Error located(const JsonValue& value, const Error& error);

// An array of objects or of texts as behind --disk. Errors are located.
Result<std::vector<node::DiskOptions>> disks_of(const JsonValue& value);

}  // namespace fmvm::cli
