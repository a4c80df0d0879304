// SPDX-License-Identifier: Apache-2.0
// Where the MP configuration table is. The floating pointer has its place in the EBDA, where
// Linux looks second of all; the table does not fit there beyond 39 processors, so that it always
// stands in the BIOS area (MultiProcessor Specification 1.4, chapter 4).
#pragma once

#include "base/guest_address.h"

namespace fmvm::firmware {

inline constexpr GuestAddress mp_configuration_table{0xf0000};

}  // namespace fmvm::firmware
