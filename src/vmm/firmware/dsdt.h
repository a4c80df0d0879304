// SPDX-License-Identifier: Apache-2.0
// The definition block of the DSDT: the AML behind its header.
#pragma once

#include "vmm/firmware/table_bytes.h"

namespace fmvm::firmware {

Bytes dsdt_definition_block(const FirmwareConfig& config);

}  // namespace fmvm::firmware
