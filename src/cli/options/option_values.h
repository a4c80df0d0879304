// SPDX-License-Identifier: Apache-2.0
// The text of option values, as on the command line and in the configuration file, to typed values.
// Errors say what is wrong with the text and what is expected; the caller prefixes where it stood.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "node/config/machine_options.h"

namespace fmvm::cli {

// Text that means itself.
Result<std::string> as_it_is(std::string_view text);

// A whole number with a unit: K, M, G or T, with or without B or iB behind it, all powers of 1024.
// A bare number is MiB.
Result<std::uint64_t> parse_size(std::string_view text);
// A bare number of MiB, as the configuration file may give it.
Result<std::uint64_t> size_from_mib(std::uint64_t count);

// A plain decimal number; the range is checked where all options come together.
Result<unsigned> parse_count(std::string_view text);

// What format= of a disk says: raw, and nothing else.
Result<void> check_disk_format(std::string_view format);

// path=PATH[,readonly][,direct][,serial=TEXT][,label=PATH][,format=raw]
Result<node::DiskOptions> parse_disk(std::string_view text);

// stdio | null | file:PATH
Result<node::ConsoleOptions> parse_console(std::string_view text);

// auto | off
Result<node::HostQuirks> parse_host_quirks(std::string_view text);
// saved | now
Result<node::GuestTime> parse_guest_time(std::string_view text);

}  // namespace fmvm::cli
