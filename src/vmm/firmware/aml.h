// SPDX-License-Identifier: Apache-2.0
// A builder of ACPI Machine Language: each function returns the encoding of one term, so that a
// table is written as an expression that mirrors its ASL. Only what our DSDT uses.
// References are to the ACPI specification 6.5: chapter 20 (AML), 6.4 (resource descriptors),
// 19.3.4 (EISA ids).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "vmm/firmware/table_bytes.h"
#include "vmm/memory/guest_address.h"

namespace fmvm::aml {

using firmware::Bytes;

Bytes join(std::initializer_list<Bytes> terms);

// Data objects. A string is ASCII without NUL; an EISA id is like "PNP0501".
Bytes integer(std::uint64_t value);
Bytes string(std::string_view text);
Bytes eisa_id(std::string_view id);
Bytes package(std::initializer_list<Bytes> elements);

// Named objects, in the scope that encloses them. A name has 1 to 4 characters (A-Z, 0-9, _);
// shorter ones are padded with '_'.
Bytes name(std::string_view name, const Bytes& value);
Bytes scope(std::string_view name, const Bytes& body);
Bytes device(std::string_view name, const Bytes& body);

// A _CRS buffer of the descriptors below.
Bytes resource_template(std::initializer_list<Bytes> descriptors);
Bytes io_ports(std::uint16_t base, std::uint8_t count);
Bytes memory32_fixed(std::uint32_t base, std::uint32_t size);
Bytes interrupt_edge_high(std::uint32_t gsi);

}  // namespace fmvm::aml
